//! Dynamic time warping: the cheapest monotone path through a matrix (OpenAI timing.py, `dtw_cpu` and `backtrace`).

/// Steps of a path.
const DIAGONAL: u8 = 0;
const UP: u8 = 1;
const LEFT: u8 = 2;

/// The path from the first to the last cell of a `[rows, columns]` matrix of costs: row and column of each step.
///
/// Costs add up in f64. On ties, and where a cost is not a number, the comparisons fall through to a step to the left,
/// as in OpenAI's. Without columns the path goes down a column −1, which has the same effect there.
pub(super) fn path(cost: impl Fn(usize, usize) -> f64, rows: usize, columns: usize) -> Vec<(isize, isize)> {
    let width = columns + 1;
    let mut trace = vec![LEFT; (rows + 1) * width];
    // Costs of the path so far up to each cell of the row above and of this row; column 0 is before the first.
    let mut above = vec![f64::INFINITY; width];
    above[0] = 0.0;
    let mut here = vec![f64::INFINITY; width];
    for i in 1..=rows {
        here[0] = f64::INFINITY;
        trace[i * width] = UP;
        for j in 1..width {
            let (diagonal, up, left) = (above[j - 1], above[j], here[j - 1]);
            let (before, step) = if diagonal < up && diagonal < left {
                (diagonal, DIAGONAL)
            } else if up < diagonal && up < left {
                (up, UP)
            } else {
                (left, LEFT)
            };
            here[j] = cost(i - 1, j - 1) + before;
            trace[i * width + j] = step;
        }
        std::mem::swap(&mut above, &mut here);
    }
    let mut path = Vec::with_capacity(rows + columns);
    let (mut i, mut j) = (rows, columns);
    while i > 0 || j > 0 {
        // Casts: both are at most a matrix's side.
        path.push((i.cast_signed() - 1, j.cast_signed() - 1));
        match trace[i * width + j] {
            DIAGONAL => (i, j) = (i - 1, j - 1),
            UP => i -= 1,
            _ => j -= 1,
        }
    }
    path.reverse();
    path
}
