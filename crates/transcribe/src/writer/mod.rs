//! Transcriptions to files: txt, srt, vtt, tsv, json, byte for byte as OpenAI's writers.
