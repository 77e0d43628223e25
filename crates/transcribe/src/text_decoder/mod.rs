//! Whisper's text decoder on the CPU, with explicit key/value caches.
