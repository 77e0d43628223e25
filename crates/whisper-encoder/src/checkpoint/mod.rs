//! Checkpoints in the hub's layout: one safetensors file or several, f32 / f16 / bf16, or int8 with scales.
//!
//! Files are memory-mapped; a tensor's bytes are read when a layer asks for it by name.

mod mmap;
mod weight;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, tensor::Metadata};

pub use weight::{Values, Weight};

use crate::{Config, Error, Result};

/// A Whisper checkpoint: its configuration and its tensors by the hub's names, without the leading `model.`.
pub struct Checkpoint {
    path: PathBuf,
    config: Config,
    files: Vec<WeightFile>,
    /// Name ▸ index into `files`.
    names: HashMap<String, usize>,
}

struct WeightFile {
    map: Mmap,
    metadata: Metadata,
    /// Where the tensors begin, after the header.
    data: usize,
}

impl Checkpoint {
    /// Opens a folder with `config.json` and `model.safetensors` (or `model.safetensors.index.json` and its shards),
    /// or one `.safetensors` file with `config.json` beside it.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Config`], or [`Error::Checkpoint`] for damaged or mismatched files.
    pub fn open(path: &Path) -> Result<Self> {
        let (folder, weights) = if path.is_file() {
            (path.parent().unwrap_or(Path::new(".")), vec![path.to_path_buf()])
        } else {
            (path, weight_files(path)?)
        };
        let mut checkpoint = Self::open_files(&folder.join("config.json"), &weights)?;
        checkpoint.path = path.to_path_buf();
        Ok(checkpoint)
    }

    /// Opens a configuration and its weight files, wherever they lie.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_files(config: &Path, weights: &[PathBuf]) -> Result<Self> {
        let path = config.parent().unwrap_or(Path::new(".")).to_path_buf();
        let config = Config::open(config)?;
        let mut checkpoint = Self { path, config, files: Vec::new(), names: HashMap::new() };
        for file in weights {
            checkpoint.add_file(file)?;
        }
        checkpoint.check_layer_counts()?;
        Ok(checkpoint)
    }

    /// Dimensions, from `config.json`.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The folder or file that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors, without the leading `model.`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// A matrix `[rows, cols]` with the checkpoint's own number type.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it is missing, of another shape, or of an unknown type.
    pub fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Weight> {
        let view = self.view(name, &[rows, cols])?;
        let values = match view.dtype {
            Dtype::I8 => {
                let scale = self.scales(name, rows)?;
                Values::Int8 { data: bytemuck::cast_slice(view.bytes).to_vec(), scale }
            }
            _ => view.floats().map_err(|reason| self.unfit(name, &reason))?,
        };
        Weight::new(rows, cols, values)
    }

    /// Lends a matrix `[rows, cols]` to `take`: whole numbers where they lie in the file, other types as [`Self::matrix`]
    /// gives them.
    ///
    /// # Errors
    /// As [`Self::matrix`].
    pub fn lend<R>(
        &self,
        name: &str,
        rows: usize,
        cols: usize,
        take: impl FnOnce(cpu_backend::Weights<'_>) -> R,
    ) -> Result<R> {
        let view = self.view(name, &[rows, cols])?;
        if view.dtype != Dtype::I8 || view.bytes.len() != rows * cols {
            return Ok(take(self.matrix(name, rows, cols)?.as_cpu()));
        }
        let scale = self.scales(name, rows)?;
        Ok(take(cpu_backend::Weights::Int8 { data: bytemuck::cast_slice(view.bytes), scale: &scale }))
    }

    /// All values of a tensor whose elements number `len`, as f32: vectors, convolutions, embeddings.
    ///
    /// A scale may be stored `[len]` or `[len, 1]`; only the number of elements counts.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it is missing, of another size, or of an unknown type.
    pub fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        let view = self.find(name)?;
        if view.shape.iter().product::<usize>() != len {
            return Err(self.unfit(name, &format!("it has shape {:?}, not {len} elements", view.shape)));
        }
        Ok(view.floats().map_err(|reason| self.unfit(name, &reason))?.to_f32(1))
    }

    /// As [`Self::vector`], but the shape must match exactly.
    ///
    /// # Errors
    /// As [`Self::vector`].
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        Ok(self.view(name, shape)?.floats().map_err(|reason| self.unfit(name, &reason))?.to_f32(1))
    }

    /// The scales of a matrix of whole numbers, one for each row.
    fn scales(&self, name: &str, rows: usize) -> Result<Vec<f32>> {
        let name = format!("{name}_scale");
        let scales = self.vector(&name, rows)?;
        match scales.iter().position(|scale| !scale.is_finite()) {
            Some(row) => Err(self.unfit(&name, &format!("its value {row} is {}", scales[row]))),
            None => Ok(scales),
        }
    }

    fn view(&self, name: &str, shape: &[usize]) -> Result<View<'_>> {
        let view = self.find(name)?;
        if view.shape != shape {
            return Err(self
                .unfit(name, &format!("it has shape {:?}, but config.json asks for {shape:?}", view.shape)));
        }
        Ok(view)
    }

    fn find(&self, name: &str) -> Result<View<'_>> {
        let found = self.names.get(name).and_then(|&index| {
            let file = &self.files[index];
            let info = file.metadata.info(name).or_else(|| file.metadata.info(&format!("model.{name}")))?;
            Some((file, info))
        });
        let (file, info) = found.ok_or_else(|| self.unfit(name, "it is missing"))?;
        let (from, to) = info.data_offsets;
        let bytes = file.map.get(file.data + from..file.data + to);
        let bytes = bytes.ok_or_else(|| {
            let (len, size) = (to.saturating_sub(from), file.map.len().saturating_sub(file.data));
            self.unfit(
                name,
                &format!("its {len} bytes from {from} on lie outside the {size} bytes of data of its file"),
            )
        })?;
        Ok(View { dtype: info.dtype, shape: &info.shape, bytes })
    }

    /// The error that names a tensor of this checkpoint that cannot be used.
    #[must_use]
    pub fn unfit(&self, name: &str, reason: &str) -> Error {
        Error::Checkpoint { path: self.path.clone(), reason: format!("tensor {name}: {reason}") }
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let map = mmap::map(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|error| Error::Checkpoint {
            path: path.into(),
            reason: format!("it is not a whole safetensors file ({error})"),
        })?;
        for name in metadata.tensors().into_keys() {
            let name = name.strip_prefix("model.").unwrap_or(&name).to_owned();
            if self.names.contains_key(&name) {
                let reason = format!("tensor {name}: it is there twice, here or in another shard");
                return Err(Error::Checkpoint { path: path.into(), reason });
            }
            self.names.insert(name, self.files.len());
        }
        self.files.push(WeightFile { data: header + size_of::<u64>(), map, metadata });
        Ok(())
    }

    /// A configuration with fewer layers than the file would load and give fluent nonsense.
    fn check_layer_counts(&self) -> Result<()> {
        for (half, layers) in [("encoder", self.config.n_audio_layer), ("decoder", self.config.n_text_layer)]
        {
            let beyond = format!("{half}.layers.{layers}.");
            if self.names.keys().any(|name| name.starts_with(&beyond)) {
                return Err(Error::Checkpoint {
                    path: self.path.clone(),
                    reason: format!("it has more than the {layers} {half} layers that config.json tells of"),
                });
            }
        }
        Ok(())
    }
}

/// One tensor of a mapped file.
struct View<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    bytes: &'a [u8],
}

impl View<'_> {
    fn floats(&self) -> std::result::Result<Values, String> {
        match self.dtype {
            Dtype::F32 => Ok(Values::F32(each(self.bytes, f32::from_le_bytes))),
            Dtype::F16 => Ok(Values::F16(each(self.bytes, half::f16::from_le_bytes))),
            Dtype::BF16 => Ok(Values::Bf16(each(self.bytes, half::bf16::from_le_bytes))),
            other => Err(format!("its type {other:?} is none of F32, F16, BF16, I8 with scales")),
        }
    }
}

fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
}

/// The weight files of a folder, shards in the order of the index.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join("model.safetensors");
    let index = folder.join("model.safetensors.index.json");
    if single.is_file() || !index.is_file() {
        return Ok(vec![single]);
    }
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let text = std::fs::read(&index).map_err(|source| Error::Read { path: index.clone(), source })?;
    let parsed: Index = serde_json::from_slice(&text).map_err(|error| Error::Checkpoint {
        path: index.clone(),
        reason: format!("it is no shard index ({error})"),
    })?;
    let mut names: Vec<String> = parsed.weight_map.into_values().collect();
    names.sort_unstable();
    names.dedup();
    let foreign =
        names.iter().find(|name| Path::new(name).file_name().is_none_or(|file| file != name.as_str()));
    if let Some(name) = foreign {
        let reason = format!("its shard {name:?} is not a file name of this folder");
        return Err(Error::Checkpoint { path: index, reason });
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

#[cfg(test)]
mod tests;
