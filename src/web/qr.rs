//! QR codes of opt-in links, black on white with the quiet zone that cameras need.

use anyhow::Context;
use qrcode::render::svg;
use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code, as the standard asks.
const QUIET: usize = 4;
/// Pixels a module has in the PNG: large enough for print.
const SCALE: usize = 12;

pub(super) fn svg(text: &str) -> anyhow::Result<String> {
    Ok(code(text)?
        .render::<svg::Color<'_>>()
        .min_dimensions(240, 240)
        .quiet_zone(true)
        .build())
}

pub(super) fn png(text: &str) -> anyhow::Result<Vec<u8>> {
    let code = code(text)?;
    let modules = code.width();
    let side = (modules + 2 * QUIET) * SCALE;
    let dark = |pixel: usize| (pixel / SCALE).checked_sub(QUIET).filter(|m| *m < modules);
    let mut pixels = Vec::with_capacity(side * side);
    for y in 0..side {
        for x in 0..side {
            let is_dark =
                matches!((dark(x), dark(y)), (Some(x), Some(y)) if code[(x, y)] == Color::Dark);
            pixels.push(if is_dark { 0 } else { 255 });
        }
    }
    let side = u32::try_from(side)?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(file)
}

fn code(text: &str) -> anyhow::Result<QrCode> {
    QrCode::with_error_correction_level(text, EcLevel::M).context("draw the QR code")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pictures_are_square_and_framed_in_white() {
        let url = "https://m.me/123456789?ref=AQAAAAAAAAAAAAAAAAAAAAAA";
        let picture = svg(url).unwrap();
        assert!(picture.contains("<svg") && picture.contains("#fff"));
        let file = png(url).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.width, info.height);
        let row = info.width as usize;
        assert!(
            pixels[..row * QUIET * SCALE]
                .iter()
                .all(|pixel| *pixel == 255)
        );
        assert!(pixels.contains(&0));
    }
}
