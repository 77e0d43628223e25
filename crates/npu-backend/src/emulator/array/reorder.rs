//! A memtile's reorder: the walk over an object in L2 by which its words leave, or arrive.

/// Walks an object of L2 in the order of a memtile DMA's dimensions (4-byte words, `[size, stride]`, outermost first).
///
/// The walk is stored as its contiguous runs, so that applying it is one table look-up and one copy a run.
#[derive(Clone, Debug)]
pub(crate) struct Reorder {
    /// Bytes of a run.
    run_bytes: usize,
    /// Number of the run to take from the source, for each run of the destination; counted in runs.
    runs: Vec<u32>,
}

/// Bytes of a word of a stream.
const WORD_BYTES: usize = 4;

impl Reorder {
    /// From dimensions that visit every word of the object once (the manifest has checked that).
    pub(crate) fn new(dims: &[[u32; 2]]) -> Self {
        let (run_words, loops) = match dims.split_last() {
            Some((&[size, 1], outer)) if outer.iter().all(|&[_, stride]| stride % size == 0) => (size, outer),
            _ => (1, dims),
        };
        let count = loops.iter().map(|&[size, _]| size as usize).product();
        let runs = (0..count).map(|index| {
            let (mut rest, mut word) = (index, 0);
            for &[size, stride] in loops.iter().rev() {
                word += (rest % size as usize) as u32 * stride;
                rest /= size as usize;
            }
            word / run_words
        });
        Self { run_bytes: run_words as usize * WORD_BYTES, runs: runs.collect() }
    }

    /// Bytes of an object.
    pub(crate) fn len_bytes(&self) -> usize {
        self.runs.len() * self.run_bytes
    }

    /// Which byte of an object comes at `index` of the walk.
    pub(crate) fn source(&self, index: usize) -> usize {
        self.runs[index / self.run_bytes] as usize * self.run_bytes + index % self.run_bytes
    }

    /// Writes the `part`-th stretch of the walk over the object `from`: as many bytes as `to` has, which divide
    /// [`len_bytes`](Self::len_bytes), and are whole runs.
    pub(crate) fn apply(&self, from: &[u8], part: usize, to: &mut [u8]) {
        let count = to.len() / self.run_bytes;
        let runs = &self.runs[part * count..][..count];
        // The runs of the manifest's layouts; known lengths become single vector moves.
        match self.run_bytes {
            16 => copy::<16>(runs, from, to),
            8 => copy::<8>(runs, from, to),
            4 => copy::<4>(runs, from, to),
            bytes => {
                for (to, &run) in to.chunks_exact_mut(bytes).zip(runs) {
                    to.copy_from_slice(&from[run as usize * bytes..][..bytes]);
                }
            }
        }
    }
}

fn copy<const N: usize>(runs: &[u32], from: &[u8], to: &mut [u8]) {
    let (from, to) = (from.as_chunks::<N>().0, to.as_chunks_mut::<N>().0);
    for (to, &run) in to.iter_mut().zip(runs) {
        *to = from[run as usize];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The walk as nested loops over words.
    fn naive(dims: [[u32; 2]; 4], from: &[u8]) -> Vec<u8> {
        let mut to = Vec::new();
        for a in 0..dims[0][0] {
            for b in 0..dims[1][0] {
                for c in 0..dims[2][0] {
                    for d in 0..dims[3][0] {
                        let word = a * dims[0][1] + b * dims[1][1] + c * dims[2][1] + d * dims[3][1];
                        to.extend_from_slice(&from[word as usize * 4..][..4]);
                    }
                }
            }
        }
        to
    }

    fn object(len: usize) -> Vec<u8> {
        (0..len / 4).flat_map(|word| (word as u32).to_le_bytes()).collect()
    }

    #[test]
    fn a_reorder_is_its_nested_loops() {
        for dims in [
            [[16, 4], [16, 256], [4, 64], [4, 1]],
            [[4, 256], [16, 2], [8, 32], [2, 1]],
            [[16, 128], [4, 2], [16, 8], [2, 1]],
            // Words one by one, and a run that is not a power of two.
            [[2, 32], [16, 1], [1, 7], [2, 16]],
            [[2, 24], [2, 12], [4, 3], [3, 1]],
        ] {
            let reorder = Reorder::new(&dims);
            let from = object(reorder.len_bytes());
            let mut to = vec![0; from.len()];
            reorder.apply(&from, 0, &mut to);
            assert_eq!(to, naive(dims, &from), "{dims:?}");
            assert!((0..to.len()).all(|at| to[at] == from[reorder.source(at)]), "{dims:?}");
            let half = to.len() / 2;
            let mut second = vec![0; half];
            reorder.apply(&from, 1, &mut second);
            assert_eq!(second, to[half..], "{dims:?}");
        }
    }
}
