//! Renders the Mandelbrot set in tiles, each as a task of its own, and joins them to a PNG.
//!
//! Inside a task: `mandelbrot tile INDEX` writes `/task/output/tile-NN.ppm`; without INDEX, that of the element. On the requester's
//! machine: `mandelbrot join DIR OUT.png` reads what was fetched. It uses nothing but the standard
//! library, so that one static file is the whole image.
//!
//! Invariant: a tile depends on its index only; whoever renders it, the bytes are the same.

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: mandelbrot tile [INDEX] | mandelbrot join DIR OUT.png | mandelbrot count";
/// Pixels of the whole picture.
const WIDTH: usize = 1280;
const HEIGHT: usize = 960;
/// Tiles of the whole picture.
const COLUMNS: usize = 4;
const ROWS: usize = 3;
const TILE_WIDTH: usize = WIDTH / COLUMNS;
const TILE_HEIGHT: usize = HEIGHT / ROWS;
/// Samples of one pixel, each way.
const SAMPLES: usize = 3;
const MOST_ITERATIONS: u32 = 1500;
/// What is shown: a spiral at the edge of the seahorse valley.
const CENTRE: (f64, f64) = (-0.743_643_887_037, 0.131_825_904_205);
const SPAN: f64 = 0.0042;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["tile", index] => tile(index),
        ["tile"] => env::var("HIVEMIND_INDEX").map_err(|_| USAGE.to_owned()).and_then(|index| tile(&index)),
        ["join", folder, picture] => join(Path::new(folder), Path::new(picture)),
        ["count"] => Ok((COLUMNS * ROWS).to_string()),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("mandelbrot: {why}");
            ExitCode::FAILURE
        }
    }
}

fn tile_name(index: usize) -> String {
    format!("tile-{index:02}.ppm")
}

fn tile(index: &str) -> Result<String, String> {
    let index = index.parse().ok().filter(|index| *index < COLUMNS * ROWS);
    let index: usize = index.ok_or(format!("INDEX is a number from 0 to {}", COLUMNS * ROWS - 1))?;
    let (left, top) = (index % COLUMNS * TILE_WIDTH, index / COLUMNS * TILE_HEIGHT);
    let mut ppm = format!("P6\n{TILE_WIDTH} {TILE_HEIGHT}\n255\n").into_bytes();
    let mut iterations = 0;
    for y in top..top + TILE_HEIGHT {
        for x in left..left + TILE_WIDTH {
            ppm.extend(pixel(x, y, &mut iterations));
        }
    }
    let folder = Path::new("/task/output");
    let file = folder.join(tile_name(index));
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    fs::write(&file, ppm).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(format!("tile {index}: {TILE_WIDTH} x {TILE_HEIGHT} pixels, {iterations} iterations"))
}

/// The mean of a pixel's samples, taken in linear light.
fn pixel(x: usize, y: usize, iterations: &mut u64) -> [u8; 3] {
    let scale = SPAN / WIDTH as f64;
    let mut sum = [0.0; 3];
    for sample in 0..SAMPLES * SAMPLES {
        let offset = |part: usize| (part as f64 + 0.5) / SAMPLES as f64;
        let re = CENTRE.0 + (x as f64 + offset(sample % SAMPLES) - WIDTH as f64 / 2.0) * scale;
        let im = CENTRE.1 - (y as f64 + offset(sample / SAMPLES) - HEIGHT as f64 / 2.0) * scale;
        let light = colour(escape(re, im, iterations));
        for (total, part) in sum.iter_mut().zip(light) {
            *total += part;
        }
    }
    sum.map(|total| ((total / (SAMPLES * SAMPLES) as f64).powf(1.0 / 2.2) * 255.0 + 0.5) as u8)
}

/// After how many steps the point escapes, smoothed to a fraction; `None` where it does not.
///
/// Smoothing: n + 1 - log2(ln |z|), with a large radius so that the error is small.
fn escape(re: f64, im: f64, iterations: &mut u64) -> Option<f64> {
    const RADIUS_SQUARED: f64 = 65536.0;
    let (mut x, mut y) = (0.0, 0.0);
    for n in 0..MOST_ITERATIONS {
        let (xx, yy): (f64, f64) = (x * x, y * y);
        if xx + yy > RADIUS_SQUARED {
            *iterations += u64::from(n);
            return Some(f64::from(n) + 1.0 - ((xx + yy).ln() / 2.0).log2());
        }
        y = 2.0 * x * y + im;
        x = xx - yy + re;
    }
    *iterations += u64::from(MOST_ITERATIONS);
    None
}

/// Linear light of red, green and blue, each 0 to 1: a cosine through deep blue, gold and white.
fn colour(escape: Option<f64>) -> [f64; 3] {
    let Some(steps) = escape else { return [0.0; 3] };
    let turn = (steps.max(1.0)).ln() * 1.35;
    [0.00, 0.11, 0.25].map(|phase| {
        let wave = 0.5 - 0.5 * (std::f64::consts::TAU * (turn + phase)).cos();
        wave * wave
    })
}

fn join(folder: &Path, picture: &Path) -> Result<String, String> {
    let mut rows = vec![0u8; WIDTH * HEIGHT * 3];
    for index in 0..COLUMNS * ROWS {
        let file = folder.join(tile_name(index));
        let ppm = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let header = format!("P6\n{TILE_WIDTH} {TILE_HEIGHT}\n255\n");
        let pixels = ppm.strip_prefix(header.as_bytes()).filter(|rest| rest.len() == TILE_WIDTH * TILE_HEIGHT * 3);
        let pixels = pixels.ok_or(format!("{}: not a tile of this picture", file.display()))?;
        for (row, line) in pixels.chunks_exact(TILE_WIDTH * 3).enumerate() {
            let at = ((index / COLUMNS * TILE_HEIGHT + row) * WIDTH + index % COLUMNS * TILE_WIDTH) * 3;
            rows[at..at + line.len()].copy_from_slice(line);
        }
    }
    fs::write(picture, png(&rows)).map_err(|e| format!("{}: {e}", picture.display()))?;
    Ok(format!("{}: {WIDTH} x {HEIGHT} pixels from {} tiles", picture.display(), COLUMNS * ROWS))
}

/// A PNG of 8-bit RGB with uncompressed deflate blocks.
fn png(rgb: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend((WIDTH as u32).to_be_bytes());
    header.extend((HEIGHT as u32).to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut raw = Vec::with_capacity(rgb.len() + HEIGHT);
    for line in rgb.chunks_exact(WIDTH * 3) {
        raw.push(0);
        raw.extend(line);
    }
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut out, b"IHDR", &header);
    chunk(&mut out, b"IDAT", &zlib(&raw));
    chunk(&mut out, b"IEND", &[]);
    out
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend(kind);
    out.extend(data);
    let sum = crc32(&out[start..]);
    out.extend(sum.to_be_bytes());
}

/// RFC 1950 around RFC 1951's stored blocks.
fn zlib(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = data.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        let length = block.len() as u16;
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    out.extend((b << 16 | a).to_be_bytes());
    out
}

/// CRC-32 as PNG wants it (reflected, polynomial 0xedb88320).
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
