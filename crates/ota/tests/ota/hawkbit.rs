//! Our messages held against hawkBit's own classes: names, values and formats as its code has them
//! (eclipse-hawkbit/hawkbit, commit 67ca1c433, `hawkbit-ddi/hawkbit-ddi-api`, `hawkbit-ddi-resource`).

use std::time::Duration;

use serde_json::Value;
use updraft_ota::Reason;
use updraft_ota::ddi::{Base, Cancel, Deployment, Execution, Feedback, Finished};
use updraft_ota::json::Text;

/// The example in `DdiControllerBase`.
const BASE: &str = r#"{
  "config" : { "polling" : { "sleep" : "12:00:00" } },
  "_links" : {
    "deploymentBase" : { "href" : "https://management-api.host.com/TENANT_ID/controller/v1/CONTROLLER_ID/deploymentBase/5?c=-2127183556" },
    "installedBase" : { "href" : "https://management-api.host.com/TENANT_ID/controller/v1/CONTROLLER_ID/installedBase/4" },
    "configData" : { "href" : "https://management-api.host.com/TENANT_ID/controller/v1/CONTROLLER_ID/configData" }
  }
}"#;

#[test]
fn the_answer_to_a_poll_is_read_as_documented() {
    let base = Base::decode(BASE.as_bytes()).unwrap();
    assert_eq!(base.sleep, Some(Duration::from_secs(12 * 3600)));
    assert!(base.deployment.unwrap().to_string().ends_with("/deploymentBase/5?c=-2127183556"));
    assert!(base.config_data.unwrap().to_string().ends_with("CONTROLLER_ID/configData"));
    assert_eq!((base.cancel, base.confirmation), (None, None));
    let waits = r#"{"_links":{"confirmationBase":{"href":"https://h/T/controller/v1/C/confirmationBase/10?c=-2122565939"}}}"#;
    let base = Base::decode(waits.as_bytes()).unwrap();
    assert!(base.confirmation.unwrap().to_string().ends_with("confirmationBase/10?c=-2122565939"));
}

/// `DurationHelper.toString`: `HH:mm:ss` below a day, ISO 8601 from there on.
#[test]
fn every_way_in_which_hawkbit_writes_a_time_is_read() {
    for (text, seconds) in [
        ("00:05:00", Some(300)),
        ("23:59:59", Some(86_399)),
        ("PT24H", Some(86_400)),
        ("PT36H30M", Some(131_400)),
        ("PT24H0.5S", Some(86_400)),
        ("PT1000H1M1S", Some(3_600_061)),
        ("P2DT3H", Some(183_600)),
        ("05:00", None),
        ("30", None),
        ("00:60:00", None),
        ("01:01:50:50", None),
        ("PT", None),
        ("P", None),
        ("P1M", None),
        ("PT5", None),
        ("PTH", None),
        ("-5", None),
        ("", None),
        ("PT999999999999H", None),
        ("soon", None),
    ] {
        let base = format!(r#"{{"config":{{"polling":{{"sleep":"{text}"}}}}}}"#);
        let Some(seconds) = seconds else {
            assert_eq!(Base::decode(base.as_bytes()), Err(Reason::BadValue("sleep")), "{text:?}");
            continue;
        };
        let sleep = Base::decode(base.as_bytes()).unwrap().sleep;
        assert_eq!(sleep, Some(Duration::from_secs(seconds)), "{text:?}");
        let mut again = [0; 100];
        let len = Base { sleep, ..Base::default() }.encode(&mut again).unwrap();
        assert_eq!(Base::decode(&again[..len]).unwrap().sleep, sleep, "{text:?}");
    }
}

fn deployment(handling: &str) -> String {
    format!(
        r#"{{"id":"8","deployment":{{{handling}"chunks":[{{"part":"os","version":"1.0.79","name":"one Firmware","encrypted":false,"artifacts":[{{"filename":"binary.tgz","hashes":{{"sha1":"574cd34be20f75d101ed23518339cc38c5157bdb","md5":"a0637c1ccb9fd53e2ba6f45712516989","sha256":"498014801aab66be1d7fbea56b1aa5959651b6fd710308e196a8c414029e7291"}},"size":13,"_links":{{"download":{{"href":"https://link-to-cdn.com/api/v1/TENANT_ID/download/controller/CONTROLLER_ID/softwaremodules/24/filename/binary.tgz"}},"download-http":{{"href":"http://link-to-cdn.com/b"}},"md5sum-http":{{"href":"http://link-to-cdn.com/b.MD5SUM"}},"md5sum":{{"href":"https://link-to-cdn.com/b.MD5SUM"}}}}}}],"metadata":[{{"key":"a","value":"b"}}]}}]}},"actionHistory":{{"status":"RUNNING","messages":["x"]}}}}"#
    )
}

/// `HandlingType` and `DdiMaintenanceWindowStatus`; a soft update is an attempt, one outside its
/// window is to be skipped (`DdiRootController.calculateUpdateType`).
#[test]
fn what_is_to_be_done_with_an_update_is_read_from_every_handling() {
    for (handling, waits, rests) in [
        (r#""download":"forced","update":"forced","maintenanceWindow":"available","#, false, false),
        (r#""download":"attempt","update":"attempt","#, false, false),
        (r#""download":"forced","update":"skip","maintenanceWindow":"unavailable","#, false, true),
        (
            r#""download":"forced","update":"forced","maintenanceWindow":"unavailable","#,
            false,
            true,
        ),
        (r#""download":"skip","update":"skip","#, true, true),
        ("", false, false),
    ] {
        let text = deployment(handling);
        let found = Deployment::decode(text.as_bytes()).unwrap();
        assert_eq!((found.waits, found.rests), (waits, rests), "{handling}");
        assert_eq!((found.artifact.size, found.id.to_string()), (13, "8".to_owned()));
        assert_eq!(found.artifact.sha256.unwrap()[..4], [0x49, 0x80, 0x14, 0x80]);
        assert!(found.artifact.address.unwrap().to_string().starts_with("https://link-to-cdn.com"));
    }
}

/// `DdiStatus.ExecutionStatus` and `DdiResult.FinalResult`, as `@JsonValue` writes them.
#[test]
fn every_status_and_result_of_hawkbit_has_a_name_here_and_the_same() {
    let executions = [
        (Execution::Closed, "closed"),
        (Execution::Proceeding, "proceeding"),
        (Execution::Canceled, "canceled"),
        (Execution::Scheduled, "scheduled"),
        (Execution::Rejected, "rejected"),
        (Execution::Resumed, "resumed"),
        (Execution::Downloaded, "downloaded"),
        (Execution::Download, "download"),
    ];
    let results =
        [(Finished::Success, "success"), (Finished::Failure, "failure"), (Finished::None, "none")];
    for (execution, name) in executions {
        for (finished, result) in results {
            let details = Some(Text::new("said \"so\""));
            let feedback = Feedback { execution, finished, progress: Some((2, 5)), details };
            let mut bytes = [0; 300];
            let len = feedback.encode(&mut bytes).unwrap();
            // What `DdiActionFeedback` needs, and where it looks for it.
            let json: Value = serde_json::from_slice(&bytes[..len]).unwrap();
            assert_eq!(json["status"]["execution"], name);
            assert_eq!(json["status"]["result"]["finished"], result);
            assert_eq!(json["status"]["result"]["progress"]["cnt"], 2);
            assert_eq!(json["status"]["result"]["progress"]["of"], 5);
            assert_eq!(json["status"]["details"][0], "said \"so\"");
            let theirs = format!(
                r#"{{"timestamp":1627997501890,"status":{{"execution":"{name}","result":{{"finished":"{result}","progress":null}},"code":200,"details":["one","two"]}}}}"#
            );
            let read = Feedback::decode(theirs.as_bytes()).unwrap();
            assert_eq!((read.execution, read.finished, read.progress), (execution, finished, None));
        }
    }
    // `DdiProgress`: only the count is needed.
    let open = br#"{"status":{"execution":"proceeding","result":{"finished":"none","progress":{"cnt":2}}}}"#;
    assert_eq!(Feedback::decode(open).unwrap().progress, None);
}

/// `DdiCancel`: hawkBit calls the cancellation what it calls the action.
#[test]
fn a_cancellation_of_hawkbit_is_read() {
    let cancel = Cancel::decode(br#"{"id":"11","cancelAction":{"stopId":"11"}}"#).unwrap();
    assert!(cancel.id.is("11") && cancel.stop.is("11"));
}
