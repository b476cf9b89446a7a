use super::*;

fn to(service: &str, region: &str) -> Result<(String, String), NotRouted> {
    find(&Asked { service, region, method: "POST", path: "/", ..Asked::default() })
}

fn find(asked: &Asked<'_>) -> Result<(String, String), NotRouted> {
    route(asked, &[]).map(|route| (route.host, route.sign_region))
}

#[test]
fn services_are_where_botocore_says() {
    for (service, region, host, signs) in [
        ("s3", "eu-west-1", "s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3", "us-east-1", "s3.us-east-1.amazonaws.com", "us-east-1"),
        ("sts", "us-east-1", "sts.us-east-1.amazonaws.com", "us-east-1"),
        ("iam", "eu-west-1", "iam.amazonaws.com", "us-east-1"),
        ("iam", "cn-north-1", "iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("iam", "us-gov-east-1", "iam.us-gov.amazonaws.com", "us-gov-west-1"),
        ("route53", "eu-west-1", "route53.amazonaws.com", "us-east-1"),
        ("networkmanager", "eu-west-1", "networkmanager.us-west-2.amazonaws.com", "us-west-2"),
        (
            "organizations",
            "cn-north-1",
            "organizations.cn-northwest-1.amazonaws.com.cn",
            "cn-northwest-1",
        ),
        ("kinesis", "eu-west-1", "kinesis.eu-west-1.amazonaws.com", "eu-west-1"),
        ("ecr", "eu-west-1", "api.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("monitoring", "eu-west-1", "monitoring.eu-west-1.amazonaws.com", "eu-west-1"),
        ("sqs", "cn-north-1", "sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("ses", "eu-west-1", "email.eu-west-1.amazonaws.com", "eu-west-1"),
        (
            "IoTSecuredTunneling",
            "eu-west-1",
            "api.tunneling.iot.eu-west-1.amazonaws.com",
            "eu-west-1",
        ),
        // Newer than the table.
        ("brandnew", "eu-west-1", "brandnew.eu-west-1.amazonaws.com", "eu-west-1"),
    ] {
        assert_eq!(
            to(service, region),
            Ok((host.to_owned(), signs.to_owned())),
            "{service} {region}"
        );
    }
}

#[test]
fn directory_buckets_are_not_told_by_the_scope() {
    assert!(matches!(to("s3express", "us-east-1"), Err(NotRouted::Service)));
}

/// botocore has no Transcribe Streaming, nor HTTP/2.
#[test]
fn operations_that_need_http_2_are_known() {
    let asked = |service, path| Asked {
        service,
        region: "eu-west-1",
        method: "POST",
        path,
        ..Asked::default()
    };
    let lex = "/bots/B/botAliases/A/botLocales/en_US/sessions/7/conversation";
    for (service, path, host) in [
        ("transcribe", "/stream-transcription", "transcribestreaming.eu-west-1.amazonaws.com"),
        ("transcribe", "/medical-scribe-stream", "transcribestreaming.eu-west-1.amazonaws.com"),
        ("lex", lex, "runtime-v2-lex.eu-west-1.amazonaws.com"),
        ("polly", "/v1/synthesisStream", "polly.eu-west-1.amazonaws.com"),
        (
            "bedrock",
            "/model/amazon.nova-sonic-v1%3A0/invoke-with-bidirectional-stream",
            "bedrock-runtime.eu-west-1.amazonaws.com",
        ),
    ] {
        let asked = asked(service, path);
        assert!(is_stream(&asked), "{path}");
        assert_eq!(find(&asked).map(|(host, _)| host), Ok(host.to_owned()), "{path}");
        assert!(!is_stream(&Asked { method: "GET", ..asked }), "{path}");
    }
    let kinesis = |target| Asked { target: Some(target), ..asked("kinesis", "/") };
    assert!(is_stream(&kinesis("Kinesis_20131202.SubscribeToShard")));
    assert!(is_stream(&asked("kinesis", "/service/Kinesis_20131202/operation/SubscribeToShard")));
    for other in [
        kinesis("Kinesis_20131202.PutRecord"),
        asked("kinesis", "/"),
        asked("bedrock", "/model/a/converse-stream"),
        asked("transcribe", "/"),
        asked("brandnew", "/stream-transcription"),
    ] {
        assert!(!is_stream(&other), "{other:?}");
    }
    let batch =
        Asked { target: Some("Transcribe.StartTranscriptionJob"), ..asked("transcribe", "/") };
    assert_eq!(find(&batch).unwrap().0, "transcribe.eu-west-1.amazonaws.com");
}

#[test]
fn services_of_one_name_are_told_apart() {
    let asked = Asked {
        service: "dynamodb",
        region: "eu-west-1",
        method: "POST",
        path: "/",
        ..Asked::default()
    };
    let cbor = Asked { path: "/service/DynamoDBStreams_20120810/operation/GetRecords", ..asked };
    let bedrock = Asked { service: "bedrock", ..asked };
    let s3 = Asked { service: "s3", method: "GET", path: "/v20180820/jobs", ..asked };
    for (asked, host) in [
        (
            Asked { target: Some("DynamoDB_20120810.GetItem"), ..asked },
            "dynamodb.eu-west-1.amazonaws.com",
        ),
        (
            Asked { target: Some("DynamoDBStreams_20120810.GetRecords"), ..asked },
            "streams.dynamodb.eu-west-1.amazonaws.com",
        ),
        (cbor, "streams.dynamodb.eu-west-1.amazonaws.com"),
        (asked, "dynamodb.eu-west-1.amazonaws.com"),
        (
            Asked {
                service: "timestream",
                target: Some("Timestream_20181101.WriteRecords"),
                ..asked
            },
            "ingest.timestream.eu-west-1.amazonaws.com",
        ),
        (
            Asked { service: "timestream", target: Some("Timestream_20181101.Query"), ..asked },
            "query.timestream.eu-west-1.amazonaws.com",
        ),
        (
            Asked { path: "/model/anthropic.claude-v2%3A1/invoke", ..bedrock },
            "bedrock-runtime.eu-west-1.amazonaws.com",
        ),
        (
            Asked { method: "GET", path: "/foundation-models", ..bedrock },
            "bedrock.eu-west-1.amazonaws.com",
        ),
        (
            Asked { path: "/tags/x", user_agent: "aws-sdk-js/3 api/bedrock-agent#3.1", ..bedrock },
            "bedrock-agent.eu-west-1.amazonaws.com",
        ),
        (
            Asked { account: Some("123456789012"), ..s3 },
            "123456789012.s3-control.eu-west-1.amazonaws.com",
        ),
        // A bucket may be called like that.
        (s3, "s3.eu-west-1.amazonaws.com"),
        (Asked { service: "iam", is_form: true, ..asked }, "iam.amazonaws.com"),
        (
            Asked { service: "iam", method: "GET", path: "/authorization-details/x", ..asked },
            "iam-toolbox.eu-west-1.amazonaws.com",
        ),
    ] {
        assert_eq!(find(&asked).expect("a way").0, host, "{asked:?}");
    }
}

#[test]
fn nothing_but_a_region_and_a_name_becomes_a_host() {
    for region in [
        "",
        "eu-west-9",
        "evil.example/",
        "us-east-1.evil.example",
        "us-east-1#",
        "aws-global",
        "US-EAST-1",
        "us-east-1\r\n",
        "us--1",
        "*",
        "us-east-1@evil",
    ] {
        assert!(matches!(to("s3", region), Err(NotRouted::Region(_))), "{region}");
    }
    for service in
        ["", "a.b", "evil.example#", "a/b", "a:80", "a@b", "-a", "a-", "a b", "a%2f", "é"]
    {
        assert_eq!(to(service, "us-east-1"), Err(NotRouted::Service), "{service}");
    }
    let asked =
        Asked { service: "s3", region: "us-east-1", path: "/v20180820/x", ..Asked::default() };
    for account in ["evil.example/", "12345678901", "1234567890123", "12345678901a"] {
        assert_eq!(find(&Asked { account: Some(account), ..asked }), Err(NotRouted::Account));
    }
}

#[test]
fn a_region_that_is_newer_than_the_table_is_named_by_a_person() {
    let asked = Asked { service: "s3", region: "eu-west-9", ..Asked::default() };
    let named = ["eu-west-9".to_owned(), "evil.example".to_owned()];
    assert_eq!(route(&asked, &named).expect("named").host, "s3.eu-west-9.amazonaws.com");
    assert!(route(&Asked { region: "evil.example", ..asked }, &named).is_err());
    for good in
        ["us-east-1", "us-gov-west-1", "eusc-de-east-1", "us-isob-east-1", "ap-northeast-12"]
    {
        assert!(is_region(good), "{good}");
    }
    for bad in ["us-1", "east-1", "us-east", "us-east-", "us-east-100", "us-e.st-1", "useasts-a-1"]
    {
        assert!(!is_region(bad), "{bad}");
    }
}
