//! The loop against OpenAI's `transcribe()`, and the whole pipeline over a scripted model.

mod model;
mod openai;
mod script;
