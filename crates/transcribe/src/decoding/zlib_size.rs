//! How many bytes zlib makes of a short text: its level 6 counted bit by bit, nothing written.
//!
//! OpenAI decides by Python's `len(zlib.compress(text))` whether a window is decoded again. Other compressors write a
//! few bytes more or less (zlib-rs −3 … +6 on our test texts) and so decide otherwise now and then. What follows is
//! the algorithm of zlib 1.2.13's `deflate_slow` and `trees.c` with level 6's parameters, for inputs that fit one
//! block; ties in the Huffman trees are broken as there, since the code lengths are themselves encoded.

/// Longest input that is surely one block: zlib ends a block after 16 383 symbols.
pub(super) const ONE_BLOCK: usize = 16_383;

const MIN_MATCH: usize = 3;
const MAX_MATCH: usize = 258;
/// Level 6 of zlib's table: from this match on search a quarter as far, …
const GOOD: usize = 8;
/// … from this one on do not search for a better one, …
const MAX_LAZY: usize = 16;
/// … this one is good enough, …
const NICE: usize = 128;
/// … and look at most at this many places.
const MAX_CHAIN: usize = 128;
/// A match of three bytes is not worth a distance beyond this.
const TOO_FAR: usize = 4096;

const END_OF_BLOCK: usize = 256;
const LENGTH_EXTRA: [usize; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_EXTRA: [usize; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
/// Order in which the lengths of the code length code are sent.
const CODE_LENGTH_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Bytes of `zlib.compress(data)`; `None` if `data` may need more than one block.
pub(super) fn compressed_size(data: &[u8]) -> Option<usize> {
    if data.len() > ONE_BLOCK {
        return None;
    }
    let symbols = find_matches(data);
    let mut dynamic_bits = 0;
    let literals = Tree::build(&symbols.literals, 15, |symbol| {
        if symbol > END_OF_BLOCK { LENGTH_EXTRA[symbol - END_OF_BLOCK - 1] } else { 0 }
    });
    let distances = Tree::build(&symbols.distances, 15, |symbol| DISTANCE_EXTRA[symbol]);
    dynamic_bits += literals.bits + distances.bits;

    let mut repeats = [0; 19];
    count_repeats(&literals.lengths[..=literals.max_code], &mut repeats);
    count_repeats(&distances.lengths[..=distances.max_code], &mut repeats);
    let code_lengths =
        Tree::build(&repeats, 7, |symbol| [2, 3, 7].get(symbol.wrapping_sub(16)).copied().unwrap_or(0));
    let sent =
        CODE_LENGTH_ORDER.iter().rposition(|&symbol| code_lengths.lengths[symbol] != 0).unwrap_or(0).max(3);
    dynamic_bits += code_lengths.bits + 3 * (sent + 1) + 5 + 5 + 4;

    let bytes = |bits: usize| (bits + 3).div_ceil(8);
    let block = bytes(dynamic_bits).min(bytes(symbols.fixed_bits()));
    // A stored block has 4 bytes of length after its own 3 bits.
    let block = if data.len() + 4 <= block { data.len() + 5 } else { block };
    Some(2 + block + 4)
}

/// How often each symbol is used.
struct Symbols {
    literals: [usize; 286],
    distances: [usize; 30],
}

impl Symbols {
    fn literal(&mut self, byte: u8) {
        self.literals[usize::from(byte)] += 1;
    }

    fn copy(&mut self, length: usize, distance: usize) {
        // Codes of doubling width: 8 lengths (4 distances) of one each, then 4 (2) codes for each doubling.
        let code = |value: usize, per_doubling: usize| {
            let first = 2 * per_doubling;
            if value < first {
                return value;
            }
            let doublings = (value / first).ilog2() as usize + 1;
            doublings * per_doubling + (value >> doublings)
        };
        let length = if length == MAX_MATCH { 28 } else { code(length - MIN_MATCH, 4) };
        self.literals[END_OF_BLOCK + 1 + length] += 1;
        self.distances[code(distance - 1, 2)] += 1;
    }

    /// Bits of the block with the codes that the format fixes.
    fn fixed_bits(&self) -> usize {
        let literals = self.literals.iter().enumerate().map(|(symbol, count)| {
            let bits = match symbol {
                144..256 => 9,
                256..280 => 7,
                _ => 8,
            };
            let extra = if symbol > END_OF_BLOCK { LENGTH_EXTRA[symbol - END_OF_BLOCK - 1] } else { 0 };
            count * (bits + extra)
        });
        let distances = self.distances.iter().zip(DISTANCE_EXTRA).map(|(count, extra)| count * (5 + extra));
        literals.sum::<usize>() + distances.sum::<usize>()
    }
}

/// Chains of the positions that share a hash of three bytes. Position 0 ends a chain, so it is never matched.
struct Chains<'a> {
    data: &'a [u8],
    head: Vec<usize>,
    previous: Vec<usize>,
}

impl Chains<'_> {
    /// Adds a position and returns the one before it in its chain.
    fn insert(&mut self, at: usize) -> usize {
        let [a, b, c] = [0, 1, 2].map(|offset| usize::from(self.data[at + offset]));
        let hash = ((a << 10) ^ (b << 5) ^ c) & 0x7fff;
        let head = std::mem::replace(&mut self.head[hash], at);
        self.previous[at] = head;
        head
    }

    /// The longest match at `at` that beats `best` bytes: its length and place.
    fn longest(&self, at: usize, mut candidate: usize, mut best: usize) -> (usize, Option<usize>) {
        let scan = &self.data[at..];
        let most = scan.len().min(MAX_MATCH);
        let nice = NICE.min(scan.len());
        let mut place = None;
        let mut chain = if best >= GOOD { MAX_CHAIN / 4 } else { MAX_CHAIN };
        loop {
            let length = self.data[candidate..].iter().zip(&scan[..most]).take_while(|(a, b)| a == b).count();
            if length > best {
                (best, place) = (length, Some(candidate));
                if length >= nice {
                    break;
                }
            }
            candidate = self.previous[candidate];
            chain -= 1;
            if candidate == 0 || chain == 0 {
                break;
            }
        }
        (best.min(scan.len()), place)
    }
}

/// zlib's lazy matching: a match is taken unless the next position has a longer one.
fn find_matches(data: &[u8]) -> Symbols {
    let mut symbols = Symbols { literals: [0; 286], distances: [0; 30] };
    symbols.literals[END_OF_BLOCK] = 1;
    let mut chains = Chains { data, head: vec![0; 1 << 15], previous: vec![0; data.len()] };
    let (mut at, mut length, mut place, mut pending) = (0, MIN_MATCH - 1, 0, false);
    while at < data.len() {
        let candidate = if data.len() - at >= MIN_MATCH { chains.insert(at) } else { 0 };
        let (previous_length, previous_place) = (length, place);
        length = MIN_MATCH - 1;
        if candidate != 0 && previous_length < MAX_LAZY {
            let (found, found_at) = chains.longest(at, candidate, previous_length);
            length = found;
            place = found_at.unwrap_or(place);
            if length == MIN_MATCH && at - place > TOO_FAR {
                length = MIN_MATCH - 1;
            }
        }
        if previous_length >= MIN_MATCH && length <= previous_length {
            symbols.copy(previous_length, at - 1 - previous_place);
            let end = at - 1 + previous_length;
            for position in at + 1..end {
                if position + MIN_MATCH <= data.len() {
                    chains.insert(position);
                }
            }
            (at, length, pending) = (end, MIN_MATCH - 1, false);
            continue;
        }
        if pending {
            symbols.literal(data[at - 1]);
        }
        pending = true;
        at += 1;
    }
    if pending {
        symbols.literal(data[at - 1]);
    }
    symbols
}

/// A Huffman code of bounded length.
struct Tree {
    lengths: Vec<usize>,
    /// Last symbol in use.
    max_code: usize,
    /// Bits of all its symbols, extra bits included.
    bits: usize,
}

impl Tree {
    /// zlib's `build_tree`: a heap by frequency, then by depth; at least two codes.
    fn build(counts: &[usize], max_length: usize, extra: impl Fn(usize) -> usize) -> Self {
        let symbols = counts.len();
        let mut frequency = counts.to_vec();
        let mut heap: Vec<usize> = (0..symbols).filter(|&symbol| counts[symbol] > 0).collect();
        let mut max_code = heap.last().copied().unwrap_or(0);
        let mut in_use = heap.last().is_some();
        while heap.len() < 2 {
            let forced = match (in_use, max_code) {
                (false, _) => 0,
                (true, 0 | 1) => max_code + 1,
                _ => 0,
            };
            max_code = max_code.max(forced);
            in_use = true;
            frequency[forced] = 1;
            heap.push(forced);
        }
        let mut depth = vec![0; symbols];
        let mut parent = vec![usize::MAX; symbols];
        for k in (0..heap.len() / 2).rev() {
            sift_down(&mut heap, k, &frequency, &depth);
        }
        let mut order = Vec::with_capacity(2 * symbols); // by rising frequency
        while heap.len() >= 2 {
            let least = heap.swap_remove(0);
            sift_down(&mut heap, 0, &frequency, &depth);
            let next = heap[0];
            let node = frequency.len();
            order.extend([least, next]);
            frequency.push(frequency[least] + frequency[next]);
            depth.push(depth[least].max(depth[next]) + 1);
            parent.push(usize::MAX);
            (parent[least], parent[next]) = (node, node);
            heap[0] = node;
            sift_down(&mut heap, 0, &frequency, &depth);
        }
        let mut lengths = vec![0; frequency.len()];
        limit_lengths(&order, &parent, symbols, max_length, &mut lengths);
        lengths.truncate(symbols);
        let bits = (0..symbols).map(|symbol| counts[symbol] * (lengths[symbol] + extra(symbol))).sum();
        Self { lengths, max_code, bits }
    }
}

/// zlib's `pqdownheap`: on equal frequency and depth the node that moves down stops.
fn sift_down(heap: &mut [usize], mut k: usize, frequency: &[usize], depth: &[usize]) {
    let Some(&moved) = heap.get(k) else { return };
    let before = |n: usize, m: usize| (frequency[n], depth[n]) <= (frequency[m], depth[m]);
    loop {
        let mut child = 2 * k + 1;
        if child >= heap.len() {
            break;
        }
        if child + 1 < heap.len() && before(heap[child + 1], heap[child]) {
            child += 1;
        }
        if before(moved, heap[child]) {
            break;
        }
        heap[k] = heap[child];
        k = child;
    }
    heap[k] = moved;
}

/// zlib's `gen_bitlen`: lengths by depth, those beyond `max_length` cut and paid for by the rarest shorter codes.
fn limit_lengths(
    order: &[usize],
    parent: &[usize],
    symbols: usize,
    max_length: usize,
    lengths: &mut [usize],
) {
    let mut of_length = vec![0usize; max_length + 1];
    let mut overflow = 0usize;
    for &node in order.iter().rev() {
        let mut length = lengths[parent[node]] + 1;
        if length > max_length {
            length = max_length;
            overflow += 1;
        }
        lengths[node] = length;
        if node < symbols {
            of_length[length] += 1;
        }
    }
    if overflow == 0 {
        return;
    }
    while overflow > 0 {
        let shorter = (1..max_length).rev().find(|&length| of_length[length] > 0).unwrap_or(1);
        of_length[shorter] -= 1;
        of_length[shorter + 1] += 2;
        of_length[max_length] -= 1;
        overflow = overflow.saturating_sub(2);
    }
    let mut leaves = order.iter().filter(|&&node| node < symbols);
    for length in (1..=max_length).rev() {
        for &leaf in leaves.by_ref().take(of_length[length]) {
            lengths[leaf] = length;
        }
    }
}

/// zlib's `scan_tree`: how often each code length symbol is sent; 16 repeats, 17 and 18 are runs of zeros.
fn count_repeats(lengths: &[usize], repeats: &mut [usize; 19]) {
    let mut previous = None;
    let mut count = 0;
    let limits = |length: usize, same: bool| match (length, same) {
        (0, _) => (138, 3),
        (_, true) => (6, 3),
        (_, false) => (7, 4),
    };
    let (mut most, mut least) = limits(lengths[0], false);
    for (n, &length) in lengths.iter().enumerate() {
        let next = lengths.get(n + 1).copied();
        count += 1;
        if count < most && next == Some(length) {
            continue;
        }
        if count < least {
            repeats[length] += count;
        } else if length != 0 {
            if previous != Some(length) {
                repeats[length] += 1;
            }
            repeats[16] += 1;
        } else if count <= 10 {
            repeats[17] += 1;
        } else {
            repeats[18] += 1;
        }
        count = 0;
        previous = Some(length);
        (most, least) = limits(next.unwrap_or(usize::MAX), next == Some(length));
    }
}
