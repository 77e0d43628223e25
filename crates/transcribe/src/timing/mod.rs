//! Word times by dynamic time warping over cross-attention, as OpenAI's `timing.py`.
