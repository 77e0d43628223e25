//! Where a model comes from: bundled, a path, the hub's cache, or a download.
