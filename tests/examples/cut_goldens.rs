//! Cuts a whole golden set to the small one kept in `tests/data/goldens`: some clips, rows, frames and logits.
//!
//! `cargo run -p workspace-tests --example cut_goldens -- WHOLE_SET OUTPUT_FOLDER`

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::PathBuf;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use workspace_tests::golden::{Goldens, LOGITS_IDS, Tensor, Tensors};

/// A sample of the repository; one that begins in the middle of a vowel; one shorter than the reflect padding.
const CLIPS: [&str; 3] = ["SS-0890", "starts-loud", "short-150-samples"];
/// Encoder frames kept: both ends, speech, and the silence after it.
const ROWS: [usize; 8] = [0, 25, 50, 125, 250, 300, 750, 1499];
/// Of the other clips only these layers are kept, of the first clip all.
const FEW: [&str; 4] = ["encoder.conv1", "encoder.conv2", "encoder.blocks.5", "encoder.ln_post"];
/// First of the tokens that are no text: all of them are kept.
const SPECIAL: usize = 50257;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: cut_goldens WHOLE_SET OUTPUT_FOLDER".into());
    };
    let whole = Goldens::open(&from)?;
    // Both edges of the file densely, the middle sparsely, and where silence begins.
    let frames: Vec<usize> = (0..16).chain((16..640).step_by(16)).chain([2998, 2999]).collect();
    for clip in CLIPS {
        let tensors = whole.tensors(clip)?;
        let mut cut = BTreeMap::new();
        for (name, tensor) in &tensors.floats {
            let kept = match name.as_str() {
                mel if mel.starts_with("mel_") => columns(tensor, &frames),
                "decoder.logits_after_sot_sequence" => columns(tensor, &logits_ids(&tensors)),
                layer if clip == CLIPS[0] || FEW.contains(&layer) => {
                    rows(tensor, &whole.decodings.rows_of_1500)?
                }
                _ => continue,
            };
            cut.insert(
                name.clone(),
                (Dtype::F32, kept.shape, bytes(kept.data.iter().map(|x| x.to_le_bytes()))),
            );
        }
        let ids: Vec<i32> = logits_ids(&tensors).into_iter().map(i32::try_from).collect::<Result<_, _>>()?;
        let raw = bytes(ids.iter().map(|id| id.to_le_bytes()));
        cut.insert(LOGITS_IDS.into(), (Dtype::I32, vec![ids.len()], raw));
        let views: BTreeMap<_, _> = cut
            .iter()
            .map(|(name, (dtype, shape, raw))| Ok((name, TensorView::new(*dtype, shape.clone(), raw)?)))
            .collect::<Result<_, safetensors::SafeTensorError>>()?;
        std::fs::write(to.join(format!("{clip}.safetensors")), safetensors::serialize(views, None)?)?;
    }
    let mut decodings = whole.decodings.clone();
    decodings.rows_of_1500 = ROWS.into();
    decodings.mel_frames = Some(frames);
    decodings.clips.retain(|clip, _| CLIPS.contains(&clip.as_str()));
    std::fs::write(to.join("decodings.json"), serde_json::to_string(&decodings)? + "\n")?;
    Ok(())
}

/// Special tokens and timestamps, every 25th text token, and the 20 likeliest of each row.
fn logits_ids(tensors: &Tensors) -> Vec<usize> {
    let logits = &tensors.floats["decoder.logits_after_sot_sequence"];
    let vocabulary = logits.shape[1];
    let mut ids: BTreeSet<usize> = (0..SPECIAL).step_by(25).chain(SPECIAL..vocabulary).collect();
    for row in logits.data.chunks_exact(vocabulary) {
        let mut ranked: Vec<usize> = (0..vocabulary).collect();
        ranked.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        ids.extend(&ranked[..20]);
    }
    ids.into_iter().collect()
}

fn columns(tensor: &Tensor, kept: &[usize]) -> Tensor {
    let rows = tensor.data.chunks_exact(tensor.shape[1]);
    let data = rows.flat_map(|row| kept.iter().map(|&column| row[column])).collect();
    Tensor { shape: vec![tensor.shape[0], kept.len()], data }
}

fn rows(tensor: &Tensor, stored: &[usize]) -> Result<Tensor, String> {
    let width = tensor.shape[1];
    let mut data = Vec::new();
    for row in ROWS {
        let at =
            stored.iter().position(|&stored| stored == row).ok_or(format!("row {row} was not stored"))?;
        data.extend(&tensor.data[at * width..(at + 1) * width]);
    }
    Ok(Tensor { shape: vec![ROWS.len(), width], data })
}

fn bytes(words: impl Iterator<Item = [u8; 4]>) -> Vec<u8> {
    words.flatten().collect()
}
