//! The A and B streams of a launch: which objects each channel carries, in what order, and their bytes.

use super::fault::{ArrayFault, Port};
use super::l1::{OBJECT_BYTES, Object};
use super::parameters::HEADER_BYTES;
use super::reorder::Reorder;
use crate::kernel::{Segment, Tap};

/// What one channel carries, as far as the program tells: taps, and the order of their objects.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    port: Port,
    taps: Vec<Tap>,
    /// Number of the first object of each tap, when objects are numbered as they lie in the taps.
    firsts: Vec<usize>,
    /// The objects as the cores receive them, by that number: replays repeat.
    order: Vec<u32>,
}

impl Feed {
    /// Of the segments of one channel, whose lengths are whole objects.
    pub(crate) fn new<'a>(port: Port, segments: impl Iterator<Item = &'a Segment>) -> Self {
        let mut feed = Self { port, taps: Vec::new(), firsts: Vec::new(), order: Vec::new() };
        let mut first = 0;
        for segment in segments {
            let objects = segment.tap.len_bytes() / OBJECT_BYTES;
            let numbers = first as u32..(first + objects) as u32;
            (0..segment.replay).for_each(|_| feed.order.extend(numbers.clone()));
            feed.taps.push(segment.tap);
            feed.firsts.push(first);
            first += objects;
        }
        feed
    }

    /// Objects that the cores receive.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Objects that are read from DDR.
    fn read(&self) -> usize {
        self.taps.iter().map(|tap| tap.len_bytes() / OBJECT_BYTES).sum()
    }

    /// Reads and reorders everything. An object of L2 is what `reorder` walks over; it leaves as one or more objects.
    ///
    /// # Errors
    /// [`ArrayFault::OutOfRange`].
    pub(crate) fn gather(&self, reorder: &Reorder, arguments: &[&[u8]]) -> Result<Stream<'_>, ArrayFault> {
        let mut objects = vec![Object::zeroed(); self.read()];
        let mut places = objects.chunks_exact_mut(reorder.len_bytes() / OBJECT_BYTES);
        let mut bytes = Vec::new();
        for tap in &self.taps {
            bytes.clear();
            if !tap.gather(argument(self.port, tap, arguments)?, &mut bytes) {
                return Err(out_of_range(self.port, tap, arguments));
            }
            for (l2, l1) in bytes.chunks_exact(reorder.len_bytes()).zip(&mut places) {
                l1.iter_mut().enumerate().for_each(|(part, object)| reorder.apply(l2, part, &mut object.0));
            }
        }
        Ok(Stream { feed: self, objects })
    }

    /// Reads only the head of the object that the cores receive at `position`, where the streams are not gathered yet.
    ///
    /// # Errors
    /// [`ArrayFault::OutOfRange`].
    pub(crate) fn header(
        &self,
        position: usize,
        reorder: &Reorder,
        arguments: &[&[u8]],
    ) -> Result<[u8; HEADER_BYTES], ArrayFault> {
        let number = self.order[position] as usize;
        let segment = self.firsts.partition_point(|&first| first <= number) - 1;
        let (tap, skipped) = (&self.taps[segment], (number - self.firsts[segment]) * OBJECT_BYTES);
        let buffer = argument(self.port, tap, arguments)?;
        let mut header = [0; HEADER_BYTES];
        for (at, byte) in header.iter_mut().enumerate() {
            let Some(&from) = buffer.get(address(tap, skipped + reorder.source(at))) else {
                return Err(out_of_range(self.port, tap, arguments));
            };
            *byte = from;
        }
        Ok(header)
    }

    /// Whether every tap lies in its argument.
    ///
    /// # Errors
    /// [`ArrayFault::OutOfRange`].
    pub(crate) fn check(&self, arguments: &[&[u8]]) -> Result<(), ArrayFault> {
        self.taps.iter().try_for_each(|tap| check(self.port, tap, arguments))
    }
}

/// The objects of one channel, as the cores receive them.
pub(crate) struct Stream<'a> {
    feed: &'a Feed,
    objects: Vec<Object>,
}

impl Stream<'_> {
    /// The object at `position`.
    pub(crate) fn object(&self, position: usize) -> &Object {
        &self.objects[self.feed.order[position] as usize]
    }
}

/// Whether `tap` lies in its argument.
///
/// # Errors
/// [`ArrayFault::OutOfRange`].
pub(crate) fn check(port: Port, tap: &Tap, arguments: &[&[u8]]) -> Result<(), ArrayFault> {
    let buffer = argument(port, tap, arguments)?;
    match tap.end_bytes() {
        Some(end) if end <= buffer.len() => Ok(()),
        _ => Err(out_of_range(port, tap, arguments)),
    }
}

fn argument<'a>(port: Port, tap: &Tap, arguments: &[&'a [u8]]) -> Result<&'a [u8], ArrayFault> {
    arguments.get(tap.argument as usize).copied().ok_or_else(|| out_of_range(port, tap, arguments))
}

fn out_of_range(port: Port, tap: &Tap, arguments: &[&[u8]]) -> ArrayFault {
    ArrayFault::OutOfRange {
        port,
        argument: tap.argument,
        end_bytes: tap.end_bytes().unwrap_or(usize::MAX),
        len_bytes: arguments.get(tap.argument as usize).map_or(0, |bytes| bytes.len()),
    }
}

/// Where the `index`-th byte of a walk lies.
fn address(tap: &Tap, index: usize) -> usize {
    let run = tap.run_bytes as usize;
    let (mut turns, mut address) = (index / run, tap.offset_bytes as usize + index % run);
    for dim in tap.dims.iter().rev() {
        address += turns % dim.size as usize * dim.stride_bytes as usize;
        turns /= dim.size as usize;
    }
    address
}
