//! Any number of lines, cut into what the service takes at once.

/// Lines of a batch at most: what the service writes in a small part of the time that a request has.
const MOST_LINES: usize = 500;
/// Bytes of a batch at most, below the 1 MiB that a body may have.
pub const MOST_BYTES: usize = 768 * 1024;

/// What is sent at once, with the numbers that its lines have in the file.
#[derive(Debug, PartialEq)]
pub struct Batch {
    /// The number of each line.
    pub numbers: Vec<usize>,
    /// The lines; empty where a single one is too long.
    pub body: Vec<u8>,
}

/// The lines from this one on, in batches. A line that is too long for any is one without a body.
pub fn batches(text: &[u8], from_line: usize) -> Vec<Batch> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut batches: Vec<Batch> = Vec::new();
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    for (index, line) in lines.skip(from_line - 1) {
        let (number, line) = (index + 1, line.trim_ascii());
        if line.is_empty() {
            continue;
        }
        let fits = |batch: &&mut Batch| {
            !batch.body.is_empty()
                && batch.numbers.len() < MOST_LINES
                && batch.body.len() + line.len() < MOST_BYTES
        };
        let too_long = line.len() >= MOST_BYTES;
        match batches.last_mut().filter(fits).filter(|_| !too_long) {
            Some(batch) => {
                batch.body.push(b'\n');
                batch.body.extend_from_slice(line);
                batch.numbers.push(number);
            }
            None => batches.push(Batch {
                numbers: vec![number],
                body: if too_long { Vec::new() } else { line.to_vec() },
            }),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_in_batches() {
        let text = format!("\u{feff}{{}}\r\n\n{}", "{\"a\": 1}\n".repeat(MOST_LINES));
        let cut = batches(text.as_bytes(), 1);
        assert_eq!(cut.len(), 2);
        assert!(cut[0].body.starts_with(b"{}\n{\"a\": 1}\n"));
        assert_eq!(cut[0].numbers[..3], [1, 3, 4]);
        assert_eq!(cut[1].numbers, [MOST_LINES + 2]);
        assert_eq!(batches(text.as_bytes(), MOST_LINES + 2), cut[1..]);
        assert!(batches(text.as_bytes(), MOST_LINES + 3).is_empty());
        assert!(batches(b"", 1).is_empty());
    }

    #[test]
    fn no_batch_is_larger_than_the_service_takes() {
        let long = "x".repeat(MOST_BYTES / 2);
        let longest = "x".repeat(MOST_BYTES);
        let cut = batches(format!("{long}\n{long}\n{longest}\na\n").as_bytes(), 1);
        let sizes: Vec<usize> = cut.iter().map(|batch| batch.body.len()).collect();
        assert_eq!(sizes, [MOST_BYTES / 2, MOST_BYTES / 2, 0, 1]);
        assert_eq!(cut[2].numbers, [3]);
    }
}
