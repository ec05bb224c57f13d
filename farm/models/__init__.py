"""Video models: one denoising loop over a matrix of noise levels, and the families it drives."""
