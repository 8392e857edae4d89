//! What a file is, by the ending of its name.

use crate::directory::record::EntryKind;
use crate::directory::tracker::FileType;

/// The endings that tell; everything else is [`FileType::Other`].
const ENDINGS: &[(FileType, &str)] = &[
    (
        FileType::Video,
        "3g2 3gp asf avi divx f4v flv m2ts m4v mkv mov mp4 mpeg mpg mts ogm ogv qt rm rmvb ts vob \
         webm wmv y4m",
    ),
    (
        FileType::Audio,
        "aac ac3 aif aiff alac amr ape au caf dsf dts flac m3u m4a m4b mid midi mka mod mp2 mp3 \
         mpc oga ogg opus ra wav weba wma wv",
    ),
    (
        FileType::Image,
        "ai apng arw avif bmp cr2 cr3 dng eps exr gif heic heif ico jfif jp2 jpeg jpg jxl nef orf \
         pef png psd raf raw rw2 svg tga tif tiff webp xcf",
    ),
    (
        FileType::Document,
        "adoc azw azw3 bib cbr cbz chm csv djvu doc docm docx dot dotx epub fb2 htm html ics key \
         log md mobi numbers odg odp ods odt org pages pdf pot potx pps ppsx ppt pptx ps rst rtf \
         srt tex tsv txt vtt wpd wps xhtml xls xlsm xlsx xps",
    ),
    (
        FileType::Archive,
        "7z ace arj br bz2 cab cpio gz img iso jar lha lrz lz lz4 lzh lzma lzo rar squashfs tar \
         tbz tbz2 tgz txz tzst vhd vhdx vmdk wim xar xz z zip zipx zst",
    ),
    (
        FileType::Program,
        "apk app appimage bat bin cmd com deb dll dmg elf exe flatpak ipa js msi msix nupkg pkg \
         ps1 py rpm run sh snap so vbs wasm whl xpi",
    ),
];

/// What an entry is.
pub fn file_type(kind: EntryKind, path: &str) -> FileType {
    if kind == EntryKind::Folder {
        return FileType::Folder;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((_, ending)) = name.rsplit_once('.') else {
        return FileType::Other;
    };
    let is_it = |list: &str| list.split(' ').any(|known| known.eq_ignore_ascii_case(ending));
    ENDINGS.iter().find(|(_, list)| is_it(list)).map_or(FileType::Other, |(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_the_name_tells() {
        let of = |path| file_type(EntryKind::File, path);
        assert_eq!(of("a.b/Film.MKV"), FileType::Video);
        assert_eq!(of("x.tar.gz"), FileType::Archive);
        assert_eq!(of("mp3"), FileType::Other);
        assert_eq!(of("a.mp3/readme"), FileType::Other);
        assert_eq!(of("trailing."), FileType::Other);
        assert_eq!(of("notes.org"), FileType::Document);
        assert_eq!(file_type(EntryKind::Folder, "a.mp3"), FileType::Folder);
    }

    #[test]
    fn no_ending_stands_twice() {
        let mut all: Vec<&str> = ENDINGS.iter().flat_map(|(_, list)| list.split(' ')).collect();
        all.sort_unstable();
        assert!(all.iter().all(|ending| !ending.is_empty()));
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
