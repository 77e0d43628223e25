//! The file that `transcribe encode` writes, with a scripted encoder.
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use safetensors::{Dtype, SafeTensors};
use whisper_encoder::log_mel::WINDOW_FRAMES;

use super::*;
use crate::cli::engine::Listener;
use crate::cli::settings::Show;

/// Values of a window's features here: 2 frames of 3.
const SHAPE: [usize; 2] = [2, 3];

/// A mel of one bin, and features that count up from window to window.
#[derive(Default)]
struct Scripted {
    /// Mel frames of sound.
    content: usize,
    /// Values a frame that the second window has instead of 3.
    odd: Option<usize>,
    /// Cancels when so many windows are made.
    cancel_at: Option<usize>,
    /// Bytes that were written when each window was asked for.
    written: Rc<Cell<usize>>,
    seen: RefCell<Vec<usize>>,
}

impl FeatureEngine for Scripted {
    fn shape(&self) -> [usize; 2] {
        SHAPE
    }

    fn hear(
        &self,
        _: &Input,
        _: Option<&RawFormat>,
        cancel: &CancelToken,
        listener: &mut Listener<'_>,
    ) -> Result<LogMel> {
        cancel.check()?;
        listener(Happening::Warning("the end is missing"));
        Ok(LogMel::new(1, vec![0.0; self.content + WINDOW_FRAMES])?)
    }

    fn features(&self, window: &LogMel, cancel: &CancelToken) -> Result<AudioFeatures> {
        assert_eq!(window.frames(), WINDOW_FRAMES);
        let index = self.seen.borrow().len();
        self.seen.borrow_mut().push(self.written.get());
        if self.cancel_at == Some(index) {
            cancel.cancel();
        }
        let d_model = self.odd.filter(|_| index == 1).unwrap_or(SHAPE[1]);
        let values = (0..2 * d_model).map(|n| (index * 6 + n) as f32).collect();
        Ok(AudioFeatures::new(d_model, values)?)
    }
}

fn origin() -> Origin {
    Origin { model: "me/mine".into(), folder: "/m \"x\"".into() }
}

fn go(engine: &Scripted, output: &Path, cancel: &CancelToken) -> (Result<()>, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut screen = Screen::new(&mut out, &mut err, Show::default(), false);
    let result = encode(engine, &origin(), &Input::Stdin, None, output, cancel, &mut screen);
    assert!(out.is_empty());
    (result, String::from_utf8(err).unwrap())
}

#[test]
fn the_file_holds_all_windows_in_order() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("f.safetensors");
    let (result, err) = go(&Scripted { content: 3001, ..Scripted::default() }, &path, &CancelToken::new());
    result.unwrap();
    assert_eq!(err, "warning: standard input: the end is missing\n");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor(TENSOR).unwrap();
    assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, &[2, 2, 3][..]));
    let values: Vec<f32> =
        tensor.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!(values, (0u8..12).map(f32::from).collect::<Vec<_>>());
    let (length, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(length % 8, 0, "the data are aligned");
    let metadata = metadata.metadata().as_ref().unwrap();
    assert_eq!(metadata["model"], "me/mine");
    assert_eq!(metadata["model_folder"], "/m \"x\"");
    assert_eq!(metadata["seconds_per_window"], "30");
}

/// Counts what is written.
struct Counting(Rc<Cell<usize>>);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Holding the features of a whole file would be 370 MB an hour.
#[test]
fn each_window_is_written_before_the_next_is_made() {
    let engine = Scripted { content: 7000, ..Scripted::default() };
    let mel = LogMel::new(1, vec![0.0; 10_000]).unwrap();
    let mut told = Vec::new();
    let mut out = Counting(Rc::clone(&engine.written));
    let mut progress = |done, total| told.push((done, total));
    write_features(&engine, &origin(), &mel, &CancelToken::new(), &mut out, &mut progress).unwrap();
    let begin = header(&origin(), [3, 2, 3]).len();
    assert_eq!(*engine.seen.borrow(), [begin, begin + 24, begin + 48]);
    assert_eq!(engine.written.get(), begin + 72);
    assert_eq!(told, [(0, 7000), (3000, 7000), (6000, 7000), (7000, 7000)]);
}

#[test]
fn nothing_is_left_when_it_fails() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("f.safetensors");
    let long = || Scripted { content: 7000, ..Scripted::default() };
    let kind = |engine: &Scripted, cancelled: bool| {
        let cancel = CancelToken::new();
        if cancelled {
            cancel.cancel();
        }
        go(engine, &path, &cancel).0.unwrap_err().kind()
    };
    assert_eq!(kind(&long(), true), ErrorKind::Cancelled);
    assert_eq!(
        kind(&Scripted { cancel_at: Some(1), ..long() }, false),
        ErrorKind::Cancelled,
        "in the middle"
    );
    assert_eq!(kind(&Scripted { odd: Some(4), ..long() }, false), ErrorKind::Internal);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "nothing half-written stays");
    let lost = root.path().join("no/such/folder");
    assert_eq!(go(&long(), &lost, &CancelToken::new()).0.unwrap_err().kind(), ErrorKind::Output);
}
