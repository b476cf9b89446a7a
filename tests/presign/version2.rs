//! URLs of signature version 2, boto3's default where an endpoint is set.

use super::stage::{at_moto, scenario};

#[test]
fn urls_of_version_2_work_where_they_are_asked_for() {
    let (_moto, world, _agent) = at_moto("presigned_v2 = true\n");
    let error = scenario(&world, "version2", &[]);
    assert!(error.contains("NoSuchKey"), "{error}");
}

#[test]
fn without_the_flag_the_refusal_names_it() {
    let (_moto, world, _agent) = at_moto("");
    scenario(&world, "no_version2", &[]);
}
