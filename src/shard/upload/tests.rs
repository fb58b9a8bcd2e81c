//! Forms of uploads, and lines of batches at every cut.

use std::sync::Arc;

use super::*;
use crate::config::{Sources, load};
use crate::net::tls;
use crate::offload::Compiled;

fn active() -> Rc<Active> {
    let env = [("OPENAI_API_KEY", "k"), ("GROQ_API_KEY", "k")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let snapshot = load(&Sources { file: None, env }).expect("keys are enough");
    let client_tls = tls::client_config(None).expect("the system's certificates");
    let compiled = Compiled { snapshot: Arc::new(snapshot), client_tls, server_tls: None, generation: 0 };
    Rc::new(Active::new(Arc::new(compiled), None))
}

fn line(id: u32, model: &str) -> String {
    format!(
        r#"{{"custom_id":"{id}","method":"POST","url":"/v1/chat/completions","body":{{"model":"{model}","messages":[]}}}}"#
    )
}

/// A form with these fields, the file last or first.
fn form(fields: &[(&str, &str)], file: &str, file_is_first: bool) -> String {
    let mut parts: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"))
        .collect();
    let at = if file_is_first { 0 } else { parts.len() };
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"x.jsonl\"\r\nContent-Type: application/jsonl";
    parts.insert(at, format!("{head}\r\n\r\n{file}\r\n"));
    parts.iter().map(|part| format!("--b\r\n{part}")).collect::<String>() + "--b--\r\n"
}

#[test]
fn a_form_tells_its_provider_its_model_and_whether_it_is_a_batch() {
    let check = |form: &str, provider: Option<&str>, model: Option<&str>, is_batch: bool| {
        let looked = look(form.as_bytes(), b"b");
        let got = (looked.provider.as_deref(), looked.model.as_deref(), looked.is_batch);
        assert_eq!(got, (provider, model, is_batch), "{form}");
    };
    let batch = format!("{}\n{}\n", line(1, "groq/m"), line(2, "groq/m"));
    for file_is_first in [false, true] {
        let form = |fields: &[(&str, &str)], file: &str| form(fields, file, file_is_first);
        check(&form(&[("purpose", "batch")], &batch), None, Some("groq/m"), true);
        check(
            &form(&[("purpose", "batch"), ("provider", "groq")], &batch),
            Some("groq"),
            Some("groq/m"),
            true,
        );
        check(&form(&[("model", "x"), ("purpose", "batch")], &batch), None, Some("x"), true);
        check(&form(&[("purpose", "user_data")], &batch), None, None, false);
        check(&form(&[("purpose", "fine-tune")], "{\"messages\":[]}"), None, None, false);
        check(&form(&[], &batch), None, Some("groq/m"), true);
        check(&form(&[], "%PDF"), None, None, false);
    }
    let cut = form(&[("purpose", "batch")], &batch, true);
    let cut = &cut[..cut.find("purpose").expect("the field")];
    check(cut, None, Some("groq/m"), true);
    let in_line = &cut[..cut.find("messages").expect("the first line")];
    check(in_line, None, None, false);
}

#[test]
fn parts_for_the_gateway_are_taken_out_whole() {
    let text = form(&[("provider", "groq"), ("purpose", "batch"), ("model", "m")], "data", false);
    let looked = look(text.as_bytes(), b"b");
    let mut left = text.clone();
    looked.ours.iter().rev().for_each(|part| left.replace_range(part.start as usize..part.end as usize, ""));
    assert_eq!(left, form(&[("purpose", "batch")], "data", false));
}

#[test]
fn lines_are_spelled_for_their_provider_at_every_cut_and_keep_their_length() {
    let active = active();
    let with_file = r#"{"custom_id":"3","url":"/v1/responses","body":{"input":[{"file_id":"file-1~groq"}],"model":"groq\/m"}}"#;
    let file = format!(
        "{}\r\n\n{}\n{with_file}\nno json\n{}",
        line(1, "groq/m"),
        line(2, "m"),
        line(4, "groq/org/n")
    );
    let text = form(&[("purpose", "batch")], &file, false);
    let padded =
        |text: &str, from: &str, to: &str| text.replace(from, &format!("{to:<width$}", width = from.len()));
    let mut want = padded(&text, r#""groq/m""#, r#""m""#);
    want = padded(&want, r#""groq\/m""#, r#""m""#);
    want = padded(&want, r#""groq/org/n""#, r#""org/n""#);
    want = padded(&want, r#""file-1~groq""#, r#""file-1""#);
    for cut in 0..=text.len() {
        let mut lines = Lines::new(active.clone(), "groq".to_owned());
        let (mut one, mut two) = (text.as_bytes()[..cut].to_vec(), text.as_bytes()[cut..].to_vec());
        lines.pass(&mut one, false).expect("one provider");
        lines.pass(&mut two, true).expect("one provider");
        one.extend_from_slice(&two);
        assert_eq!(String::from_utf8_lossy(&one), want, "cut at {cut}");
    }
}

#[test]
fn a_batch_of_two_providers_is_refused() {
    for other in [
        line(2, "openai/m"),
        r#"{"custom_id":"2","url":"/v1/x","body":{"model":"m","file_id":"file-1~openai"}}"#.to_owned(),
    ] {
        let mut lines = Lines::new(active(), "groq".to_owned());
        let mut piece = format!("{}\n{other}\n", line(1, "groq/m")).into_bytes();
        let refusal = lines.pass(&mut piece, true).expect_err("two providers");
        assert!(matches!(refusal.code, "providers_differ" | "file_of_other_provider"), "{}", refusal.code);
    }
}

#[test]
fn a_line_without_end_is_refused() {
    let mut lines = Lines::new(active(), "groq".to_owned());
    let mut result = Ok(());
    for _ in 0..=BATCH_LINE_BYTES_MAX / BUFFER_BYTES {
        result = lines.pass(&mut vec![b'x'; BUFFER_BYTES], false);
    }
    assert_eq!(result.expect_err("too long").code, "batch_line_too_long");
}
