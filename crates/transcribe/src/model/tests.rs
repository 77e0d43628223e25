//! What `--model` can mean.
#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

fn request(model: Option<&str>, root: &Path) -> ModelRequest {
    ModelRequest {
        model: model.map(String::from),
        surroundings: Surroundings { current_dir: Some(root.into()), ..Surroundings::default() },
        hub: HubSettings {
            endpoint: "http://127.0.0.1:1".into(),
            cache: Some(root.join("hub")),
            token: None,
            offline: true,
        },
        quiet: true,
    }
}

fn model_at(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for file in [folder::CONFIG, folder::TOKENIZER, folder::WEIGHTS] {
        fs::write(folder.join(file), "{}").unwrap();
    }
}

#[test]
fn without_a_name_the_bundled_model() {
    let root = tempfile::tempdir().unwrap();
    let error = find(&request(None, root.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.hint().contains("models install"), "{error}");
    let folder = root.path().join("models").join(locate::BUNDLED);
    model_at(&folder);
    for model in [None, Some(locate::BUNDLED)] {
        let files = find(&request(model, root.path())).unwrap();
        assert_eq!((files.folder, files.source), (folder.clone(), ModelSource::Bundled));
    }
}

#[test]
fn paths_are_folders_or_files_of_weights() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("mine");
    model_at(&folder);
    for path in [folder.clone(), folder.join("model.safetensors")] {
        let files = find(&request(path.to_str(), root.path())).unwrap();
        assert_eq!((files.folder, files.source), (folder.clone(), ModelSource::Path));
    }
    for (bad, hint) in [
        ("./no-such-folder", "check the path"),
        ("/no/such/folder", "check the path"),
        ("missing.safetensors", "check the path"),
        ("./openai/whisper-tiny", "if the hub's repository is meant, write openai/whisper-tiny"),
        ("../me/mine", "if the hub's repository is meant, write me/mine"),
        ("~someone/model", "$HOME"),
    ] {
        let error = find(&request(Some(bad), root.path())).unwrap_err();
        assert!(error.why().contains("no such") && error.why().contains("hub"), "{error}");
        assert!(error.hint().contains(hint), "{bad}: {error}");
    }
}

#[test]
fn a_path_with_a_mistake_is_not_looked_for_on_the_hub() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("models")).unwrap();
    let mistaken = request(Some("models/whisper-bse"), root.path());
    let error = find(&mistaken).unwrap_err();
    assert!(error.why().contains("models with no whisper-bse in it"), "{error}");
    assert!(error.hint().contains("if a path is meant"), "{error}");
    assert!(error.hint().contains("`transcribe models download models/whisper-bse`"), "{error}");
    // Which the hub is asked for then.
    assert!(download(&mistaken).unwrap_err().why().contains("not in the cache"));
    // Once it is in the cache, there is no doubt.
    let repository = root.path().join("hub/models--models--whisper-bse");
    model_at(&repository.join("snapshots/abc"));
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), "abc").unwrap();
    for found in [find(&mistaken), download(&mistaken)] {
        assert_eq!(found.unwrap().source, ModelSource::Cache);
    }
}

#[test]
fn short_names_and_hub_ids_go_to_the_cache() {
    let root = tempfile::tempdir().unwrap();
    for (model, folder) in [("tiny", "models--openai--whisper-tiny"), ("me/mine", "models--me--mine")] {
        let error = find(&request(Some(model), root.path())).unwrap_err();
        assert!(error.why().contains("not in the cache"), "{error}");
        let repository = root.path().join("hub").join(folder);
        model_at(&repository.join("snapshots/abc"));
        fs::create_dir_all(repository.join("refs")).unwrap();
        fs::write(repository.join("refs/main"), "abc").unwrap();
        let files = find(&request(Some(model), root.path())).unwrap();
        assert_eq!((files.name.as_str(), files.source), (model, ModelSource::Cache));
    }
}

#[test]
fn full_names_do_not_depend_on_how_it_was_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("mine");
    model_at(&folder);
    for path in [folder.clone(), folder.join("model.safetensors"), folder.join("../mine/.")] {
        assert_eq!(find(&request(path.to_str(), root.path())).unwrap().full_name(), "mine");
    }
    let repository = root.path().join("hub/models--openai--whisper-large-v3-turbo");
    model_at(&repository.join("snapshots/abc"));
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), "abc").unwrap();
    for name in ["turbo", "large-v3-turbo", "openai/whisper-large-v3-turbo"] {
        let files = find(&request(Some(name), root.path())).unwrap();
        assert_eq!(files.full_name(), "openai/whisper-large-v3-turbo", "{name}");
    }
}

#[test]
fn what_cannot_be_a_model_says_so() {
    let root = tempfile::tempdir().unwrap();
    for (model, part) in [("bsae", "unknown model"), ("ggml-tiny.bin", "ggml"), ("tiny.pt", "PyTorch")] {
        let error = find(&request(Some(model), root.path())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.to_string().contains(part), "{error}");
    }
}
