//! Compressed bodies of recordings, opened: gzip (RFC 1952) around deflate (RFC 1951), bit by bit. Checks no checksum.

/// The bytes of a gzip file; `None` when it is none, or cut.
pub fn gunzip(file: &[u8]) -> Option<Vec<u8>> {
    let flags = *file.get(3)?;
    let mut at = 10;
    if flags & 4 != 0 {
        at += 2 + usize::from(u16::from_le_bytes([*file.get(10)?, *file.get(11)?]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += 1 + file.get(at..)?.iter().position(|byte| *byte == 0)?;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    let mut input = Bits { bytes: file.get(at..)?, at: 0 };
    let mut out = Vec::new();
    loop {
        let is_last = input.take(1)? == 1;
        match input.take(2)? {
            0 => stored(&mut input, &mut out)?,
            1 => block(&mut input, &fixed(), &Code::of(&[5; 30]), &mut out)?,
            2 => {
                let (lengths, distances) = dynamic(&mut input)?;
                block(&mut input, &lengths, &distances, &mut out)?;
            }
            _ => return None,
        }
        if is_last {
            return Some(out);
        }
    }
}

/// Bits from the lowest one of each byte.
struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<usize> {
        (0..count).try_fold(0, |value, place| {
            let bit = self.bytes.get(self.at / 8)? >> (self.at % 8) & 1;
            self.at += 1;
            Some(value | usize::from(bit) << place)
        })
    }
}

/// A Huffman code: how many words there are of each length, and the symbols in their order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn of(lengths: &[usize]) -> Code {
        let mut counts = [0; 16];
        lengths.iter().for_each(|length| counts[*length] += 1);
        counts[0] = 0;
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Code { counts, symbols }
    }

    fn read(&self, input: &mut Bits<'_>) -> Option<usize> {
        let (mut word, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            word |= input.take(1)?;
            if word < first + count {
                return self.symbols.get(index + word - first).copied();
            }
            index += count;
            first = (first + count) << 1;
            word <<= 1;
        }
        None
    }
}

fn stored(input: &mut Bits<'_>, out: &mut Vec<u8>) -> Option<()> {
    input.at = input.at.next_multiple_of(8);
    let length = input.take(16)?;
    input.take(16)?;
    let from = input.at / 8;
    out.extend_from_slice(input.bytes.get(from..from + length)?);
    input.at += 8 * length;
    Some(())
}

fn fixed() -> Code {
    let length = |symbol| match symbol {
        0..144 => 8,
        144..256 => 9,
        256..280 => 7,
        _ => 8,
    };
    Code::of(&(0..288).map(length).collect::<Vec<_>>())
}

fn dynamic(input: &mut Bits<'_>) -> Option<(Code, Code)> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, codes) = (input.take(5)? + 257, input.take(5)? + 1, input.take(4)? + 4);
    let mut own = [0; 19];
    for place in &ORDER[..codes] {
        own[*place] = input.take(3)?;
    }
    let code = Code::of(&own);
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match code.read(input)? {
            16 => (*lengths.last()?, 3 + input.take(2)?),
            17 => (0, 3 + input.take(3)?),
            18 => (0, 11 + input.take(7)?),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times));
    }
    Some((Code::of(&lengths[..literals]), Code::of(lengths.get(literals..)?)))
}

fn block(input: &mut Bits<'_>, lengths: &Code, distances: &Code, out: &mut Vec<u8>) -> Option<()> {
    loop {
        match lengths.read(input)? {
            256 => return Some(()),
            byte @ 0..256 => out.push(byte as u8),
            symbol => {
                let length = match symbol - 257 {
                    28 => 258,
                    near @ 0..8 => near + 3,
                    far => {
                        let extra = far / 4 - 1;
                        ((4 + far % 4) << extra) + 3 + input.take(extra)?
                    }
                };
                let distance = match distances.read(input)? {
                    near @ 0..4 => near + 1,
                    far => {
                        let extra = far / 2 - 1;
                        ((2 + far % 2) << extra) + 1 + input.take(extra)?
                    }
                };
                for _ in 0..length {
                    out.push(*out.get(out.len().checked_sub(distance)?)?);
                }
            }
        }
    }
}
