//! What is kept: releases, tokens, files; and what is left of it when something goes wrong.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use updraft_fleet::artifacts::{Artifact, Artifacts, Folder};
use updraft_fleet::fleet::{
    ArtifactError, Fleet, OpenError, SubmitError, Submitted, open_store, record,
};
use updraft_fleet::model::{ArtifactId, Policy, Release, ReleaseName, Signature, Submission};
use updraft_fleet::store::{Added, Sqlite, Store, StoreError};
use updraft_fleet::token::{Access, Token, TokenHash};

use crate::support::*;

fn release(name: &str, images: Vec<Vec<u8>>) -> Release {
    Policy::new().admit(&submission(name, None, images), NOW).unwrap()
}

fn names(store: &dyn Store, after: Option<&str>, limit: usize) -> Vec<String> {
    let after = after.map(|name| name.parse::<ReleaseName>().unwrap());
    let releases = store.releases(after.as_ref(), limit).unwrap();
    releases.into_iter().map(|release| release.name.to_string()).collect()
}

#[test]
fn a_release_comes_back_as_it_was_kept() {
    let folder = folder("store-round-trip");
    let key = key();
    let policy = Policy::new().trusting(named("ours", &key)).unwrap();
    let ours = image_for("virtual-nor-4k", "1.0.0", &key, &firmware(900, 1));
    let kept = submission("a", Some("virtual-nor-4k"), vec![ours]);
    let kept = policy.admit(&kept, NOW).unwrap();
    let two = release("b", vec![image("1.0.0", None, &firmware(600, 1)), unsigned(2)]);
    {
        let store = open_store(&folder).unwrap();
        assert_eq!(store.add_release(&kept).unwrap(), Added::New);
        assert_eq!(store.add_release(&two).unwrap(), Added::New);
    }
    let store = open_store(&folder).unwrap();
    assert_eq!(store.release(&kept.name).unwrap(), Some(kept.clone()));
    assert_eq!(store.release(&two.name).unwrap(), Some(two.clone()));
    assert_eq!(store.artifacts().unwrap().len(), 3);
    assert_eq!(store.remove_release(&two.name).unwrap(), Some(two.clone()));
    assert_eq!(store.remove_release(&two.name).unwrap(), None);
    assert_eq!(store.release(&two.name).unwrap(), None);
    assert_eq!(store.images_of(&two.images[0].sha256).unwrap(), []);
    assert_eq!(store.images_of(&kept.images[0].sha256).unwrap(), kept.images[..1]);
}

#[test]
fn a_name_stands_for_one_content() {
    let folder = folder("store-names");
    let store = open_store(&folder).unwrap();
    let first = release("a", vec![unsigned(1)]);
    assert_eq!(store.add_release(&first).unwrap(), Added::New);
    let again = Release { created: NOW + 9, ..first.clone() };
    assert_eq!(store.add_release(&again).unwrap(), Added::Same(first.clone()));
    for other in [
        release("a", vec![unsigned(2)]),
        release("a", vec![unsigned(1), unsigned(2)]),
        Release { board: Some("virtual-nor-4k".into()), ..first.clone() },
    ] {
        assert_eq!(store.add_release(&other).unwrap(), Added::Taken(first.clone()));
        assert_eq!(store.release(&first.name).unwrap(), Some(first.clone()));
    }
}

#[test]
fn releases_are_listed_page_by_page() {
    let folder = folder("store-pages");
    let store = open_store(&folder).unwrap();
    for name in ["d", "b", "a", "c+1", "B"] {
        store.add_release(&release(name, vec![unsigned(1)])).unwrap();
    }
    assert_eq!(names(&store, None, 100), ["B", "a", "b", "c+1", "d"]);
    assert_eq!(names(&store, None, 2), ["B", "a"]);
    assert_eq!(names(&store, Some("a"), 2), ["b", "c+1"]);
    assert_eq!(names(&store, Some("zz"), 2), [""; 0]);
}

#[test]
fn a_token_is_known_by_its_hash_until_it_is_revoked() {
    let folder = folder("store-tokens");
    let store = open_store(&folder).unwrap();
    let (token, other) = (Token::generate().unwrap(), Token::generate().unwrap());
    assert_ne!(token.reveal(), other.reveal());
    assert!(store.add_token(&record("ci", &token, Access::Write)).unwrap());
    assert!(!store.add_token(&record("ci", &other, Access::Read)).unwrap());
    let found = store.token(&TokenHash::of(token.reveal())).unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.access), ("ci", Access::Write));
    assert_eq!(store.token(&TokenHash::of(other.reveal())).unwrap(), None);
    assert_eq!(store.token(&TokenHash::of("")).unwrap(), None);
    // Nothing on the disk tells the token.
    for file in fs::read_dir(&folder).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let secret = token.reveal().as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    assert!(!format!("{token:?}").contains(token.reveal()));
    assert!(store.revoke_token("ci").unwrap());
    assert!(!store.revoke_token("ci").unwrap());
    assert_eq!(store.token(&TokenHash::of(token.reveal())).unwrap(), None);
}

#[test]
fn a_database_of_a_later_version_is_left_alone() {
    let folder = folder("store-later");
    drop(open_store(&folder).unwrap());
    let connection = rusqlite::Connection::open(folder.join("fleet.sqlite")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = Sqlite::open(&folder.join("fleet.sqlite")).unwrap_err();
    assert!(matches!(error, StoreError::Later { found: 99, known: 1 }), "{error}");
    fs::write(folder.join("other"), [7; 8192]).unwrap();
    let error = Sqlite::open(&folder.join("other")).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
}

#[test]
fn what_a_killed_server_left_is_tidied_up() {
    let data = folder("store-tidy");
    let fleet = Fleet::open(&data, Policy::new()).unwrap();
    let kept = unsigned(1);
    fleet.submit(&submission("a", None, vec![kept.clone()])).unwrap();
    drop(fleet);
    let files = Folder::open(&data.join("artifacts")).unwrap();
    let orphan = ArtifactId::of(b"orphan");
    files.put(&orphan, b"orphan").unwrap();
    fs::write(data.join("artifacts/incoming/half"), b"ha").unwrap();
    let fleet = Fleet::open(&data, Policy::new()).unwrap();
    assert_eq!(files.list().unwrap(), [ArtifactId::of(&kept)]);
    assert_eq!(fs::read_dir(data.join("artifacts/incoming")).unwrap().count(), 0);
    assert_eq!(fleet.lost().unwrap(), []);
    files.remove(&ArtifactId::of(&kept)).unwrap();
    assert_eq!(fleet.lost().unwrap(), [ArtifactId::of(&kept)]);
    assert!(matches!(fleet.artifact(&ArtifactId::of(&kept)), Err(ArtifactError::Artifacts(_))));
}

/// Of what a server is told to be stricter about it gives nothing out any more.
#[test]
fn a_stricter_server_keeps_what_a_lenient_one_took_to_itself() {
    let data = folder("store-stricter");
    let (ours, theirs) = (key(), key());
    let lenient = Fleet::open(&data, Policy::new().allowing_sample_keys()).unwrap();
    let good = image("1.0.0", Some(&ours), &firmware(600, 1));
    let published = sample(SAMPLES[0].0);
    for (name, bytes) in [("good", &good), ("published", &published)] {
        let submission = submission(name, None, vec![bytes.clone()]);
        lenient.submit(&Submission { allow_sample_key: true, ..submission }).unwrap();
    }
    assert_eq!(lenient.withheld().unwrap(), []);
    drop(lenient);
    let withheld = |policy: Policy| {
        let fleet = Fleet::open(&data, policy).unwrap();
        assert_eq!(fleet.releases(None, 9).unwrap().len(), 2);
        let withheld = fleet.withheld().unwrap().into_iter();
        let withheld = withheld.map(|(name, reason)| format!("{name} {}", reason.code()));
        let given = [&good, &published].map(|bytes| match fleet.artifact(&ArtifactId::of(bytes)) {
            Ok(artifact) => artifact.is_some(),
            Err(ArtifactError::Withheld(_)) => false,
            Err(error) => panic!("{error}"),
        });
        (withheld.collect::<Vec<_>>(), given)
    };
    let strict = withheld(Policy::new());
    assert_eq!(strict, (vec!["published sample-key".into()], [true, false]));
    let both = ["good not-trusted", "published sample-key"].map(String::from).to_vec();
    let trusting = || Policy::new().trusting(named("ours", &ours)).unwrap();
    assert_eq!(withheld(trusting()), (both, [false, false]));
    // Added again, it is judged again.
    let fleet = Fleet::open(&data, trusting()).unwrap();
    let again = fleet.submit(&submission("good", None, vec![good.clone()])).unwrap();
    let Submitted::Same(again) = again else { panic!("{again:?}") };
    assert_eq!(again.images[0].signature, Signature::Good("ours".into()));
    drop(fleet);
    assert_eq!(withheld(trusting()).1, [true, false]);
    let others = Policy::new().trusting(named("theirs", &theirs)).unwrap();
    assert_eq!(withheld(others).1, [false, false]);
    // Another key behind the same name.
    let renewed = Policy::new().trusting(named("ours", &theirs)).unwrap();
    assert_eq!(withheld(renewed).1, [false, false]);
}

/// What the disk has cut off is no file of a release.
#[test]
fn a_file_of_another_length_is_not_given_out() {
    let data = folder("store-length");
    let fleet = Fleet::open(&data, Policy::new()).unwrap();
    let bytes = unsigned(1);
    fleet.submit(&submission("a", None, vec![bytes.clone()])).unwrap();
    let id = ArtifactId::of(&bytes);
    let path = data.join("artifacts").join(&id.to_string()[..2]).join(id.to_string());
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(fleet.artifact(&id), Err(ArtifactError::Artifacts(_))));
}

#[test]
fn files_without_their_database_are_not_taken_for_rubbish() {
    let data = folder("store-no-database");
    let fleet = Fleet::open(&data, Policy::new()).unwrap();
    fleet.submit(&submission("a", None, vec![unsigned(1)])).unwrap();
    drop(fleet);
    for file in ["fleet.sqlite", "fleet.sqlite-wal", "fleet.sqlite-shm"] {
        let _ = fs::remove_file(data.join(file));
    }
    for _ in 0..2 {
        assert!(matches!(Fleet::open(&data, Policy::new()), Err(OpenError::NoDatabase(_))));
        // Neither is an empty one what a copy was made of.
        fs::write(data.join("fleet.sqlite"), b"").unwrap();
    }
    let files = Folder::open(&data.join("artifacts")).unwrap();
    assert_eq!(files.list().unwrap(), [ArtifactId::of(&unsigned(1))]);
}

#[test]
fn a_data_folder_is_one_servers() {
    let data = folder("store-lock");
    let fleet = Fleet::open(&data, Policy::new()).unwrap();
    assert!(matches!(Fleet::open(&data, Policy::new()), Err(OpenError::InUse(_))));
    drop(fleet);
    Fleet::open(&data, Policy::new()).unwrap();
    let file = data.join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(Fleet::open(&file, Policy::new()), Err(OpenError::Folder { .. })));
}

#[test]
fn a_file_that_two_releases_have_stays_until_the_last_is_removed() {
    let data = folder("store-shared");
    let fleet = Fleet::open(&data, Policy::new()).unwrap();
    let (shared, own) = (unsigned(1), unsigned(2));
    fleet.submit(&submission("a", None, vec![shared.clone(), own.clone()])).unwrap();
    fleet.submit(&submission("b", None, vec![shared.clone()])).unwrap();
    fleet.remove(&"a".parse().unwrap()).unwrap().unwrap();
    assert!(fleet.artifact(&ArtifactId::of(&own)).unwrap().is_none());
    let mut left = fleet.artifact(&ArtifactId::of(&shared)).unwrap().unwrap();
    fleet.remove(&"b".parse().unwrap()).unwrap().unwrap();
    assert!(fleet.artifact(&ArtifactId::of(&shared)).unwrap().is_none());
    // Who is in the middle of it reads it to its end.
    let mut bytes = Vec::new();
    left.content.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, shared);
}

#[test]
fn a_file_that_the_disk_has_changed_is_written_again() {
    let root = folder("store-rot");
    let files = Folder::open(&root).unwrap();
    let (bytes, id) = (b"firmware".to_vec(), ArtifactId::of(b"firmware"));
    files.put(&id, &bytes).unwrap();
    let path = root.join(&id.to_string()[..2]).join(id.to_string());
    fs::write(&path, b"Firmware").unwrap();
    files.put(&id, &bytes).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

/// Files on a disk that can be full.
struct Failing(Folder, Arc<AtomicBool>);

impl Artifacts for Failing {
    fn put(&self, id: &ArtifactId, bytes: &[u8]) -> io::Result<()> {
        match self.1.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => self.0.put(id, bytes),
        }
    }

    fn open(&self, id: &ArtifactId) -> io::Result<Option<Artifact>> {
        self.0.open(id)
    }

    fn remove(&self, id: &ArtifactId) -> io::Result<()> {
        self.0.remove(id)
    }

    fn list(&self) -> io::Result<Vec<ArtifactId>> {
        self.0.list()
    }
}

/// A server whose disk is full as long as the flag is set.
pub fn on_a_full_disk(data: &Path) -> (Fleet, Arc<AtomicBool>) {
    let full = Arc::new(AtomicBool::new(true));
    let files = Failing(Folder::open(&data.join("artifacts")).unwrap(), Arc::clone(&full));
    let store = open_store(data).unwrap();
    (Fleet::new(Policy::new(), Box::new(store), Box::new(files)), full)
}

#[test]
fn a_full_disk_leaves_no_release_behind() {
    let data = folder("store-full");
    let (fleet, full) = on_a_full_disk(&data);
    let wanted = submission("a", None, vec![unsigned(1)]);
    let error = fleet.submit(&wanted).unwrap_err();
    assert!(
        matches!(&error, SubmitError::Artifacts(it) if it.kind() == io::ErrorKind::StorageFull)
    );
    assert_eq!(fleet.release(&wanted.name).unwrap(), None);
    full.store(false, Ordering::Relaxed);
    assert!(matches!(fleet.submit(&wanted).unwrap(), Submitted::New(_)));
    assert!(matches!(fleet.submit(&wanted).unwrap(), Submitted::Same(_)));
}
