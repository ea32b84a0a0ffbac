//! hawkBit's messages: what is read can be written again and is the same then.

use updraft_ota::ddi::{Base, Cancel, Deployment, Feedback};
use updraft_ota::json::Text;

/// The first byte says what is read.
pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let mut again = vec![0; 8 * bytes.len() + 512];
    let words = |text: Option<Text<'_>>| text.map(|text| text.to_string());
    match kind % 4 {
        0 => {
            let Ok(base) = Base::decode(bytes) else { return };
            let len = base.encode(&mut again).expect("there is room");
            let read = Base::decode(&again[..len]).expect("it is one");
            assert_eq!(words(read.deployment), words(base.deployment));
            assert_eq!(read.sleep, base.sleep);
        }
        1 => {
            let Ok(update) = Deployment::decode(bytes) else { return };
            let len = update.encode(&mut again).expect("there is room");
            let read = Deployment::decode(&again[..len]).expect("it is one");
            assert_eq!(
                (read.artifact.size, read.artifact.sha256),
                (update.artifact.size, update.artifact.sha256)
            );
            assert_eq!(words(read.version), words(update.version));
        }
        2 => {
            let Ok(cancel) = Cancel::decode(bytes) else { return };
            let len = cancel.encode(&mut again).expect("there is room");
            let read = Cancel::decode(&again[..len]).expect("it is one");
            assert_eq!(words(Some(read.stop)), words(Some(cancel.stop)));
        }
        _ => {
            let Ok(feedback) = Feedback::decode(bytes) else { return };
            let len = feedback.encode(&mut again).expect("there is room");
            let read = Feedback::decode(&again[..len]).expect("it is one");
            assert_eq!((read.execution, read.progress), (feedback.execution, feedback.progress));
        }
    }
}

/// One of each.
pub fn seeds() -> Vec<Vec<u8>> {
    let with = |kind: u8, text: &str| [&[kind][..], text.as_bytes()].concat();
    vec![
        with(
            0,
            r#"{"config":{"polling":{"sleep":"01:05:09"}},"_links":{"deploymentBase":{"href":"https://h/d/3"}}}"#,
        ),
        with(
            1,
            r#"{"id":"3","deployment":{"update":"skip","chunks":[{"version":"1","artifacts":[{"size":9,"_links":{"download":{"href":"http://h/a"}}}]}]}}"#,
        ),
        with(2, r#"{"id":"4","cancelAction":{"stopId":"3"}}"#),
        with(
            3,
            r#"{"status":{"execution":"closed","result":{"finished":"success","progress":{"cnt":2,"of":5}},"details":["x"]}}"#,
        ),
    ]
}
