//! Cross-attention keys and values of one audio window, computed once, in memory that later windows take over.

use std::sync::{Arc, Mutex, PoisonError};

use cpu_backend::{KvCache, KvStorage};
use whisper_encoder::{AudioFeatures, Config, Error, Result};

/// Keys and values of every block over the frames of one window.
pub struct CrossCache {
    pub(super) frames: usize,
    pub(super) blocks: Vec<KvCache>,
    /// Where the memory goes when this window is done.
    spare: Arc<Spare>,
}

/// Memory of windows that are done: at most one window's, the rest is freed.
type Spare = Mutex<Option<Vec<KvCache>>>;

/// Gives windows their memory.
pub(super) struct CrossMemory {
    heads: usize,
    storage: KvStorage,
    spare: Arc<Spare>,
}

impl CrossMemory {
    pub(super) fn new(config: &Config, storage: KvStorage) -> Self {
        Self { heads: config.n_text_head, storage, spare: Arc::default() }
    }

    /// Memory for `features`, to be filled block by block.
    pub(super) fn take(&self, features: &AudioFeatures, config: &Config) -> Result<CrossCache> {
        if features.d_model() != config.d_model {
            return Err(Error::Shape(format!(
                "the decoder takes features {} wide, not {}",
                config.d_model,
                features.d_model()
            )));
        }
        let frames = features.frames();
        let spare = lock(&self.spare).take().filter(|blocks| blocks.iter().all(|b| b.capacity() == frames));
        let new = || KvCache::new(self.heads, config.d_model / self.heads, frames, self.storage);
        let blocks = spare.unwrap_or_else(|| (0..config.n_text_layer).map(|_| new()).collect());
        Ok(CrossCache { frames, blocks, spare: Arc::clone(&self.spare) })
    }
}

impl CrossCache {
    pub(super) fn blocks_mut(&mut self) -> impl Iterator<Item = &mut KvCache> {
        self.blocks.iter_mut()
    }
}

impl Drop for CrossCache {
    fn drop(&mut self) {
        lock(&self.spare).get_or_insert_with(|| std::mem::take(&mut self.blocks));
    }
}

fn lock(spare: &Spare) -> std::sync::MutexGuard<'_, Option<Vec<KvCache>>> {
    // Memory is all there is behind it.
    spare.lock().unwrap_or_else(PoisonError::into_inner)
}
