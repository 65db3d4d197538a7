//! `GET /guide`: what to do about an alarm, from `docs/ALERTS.md`. It is the same for everyone.

use askama::Template;
use axum::{Extension, response::IntoResponse};

use super::frame::{Frame, Page};
use crate::http::authorize::Asking;

const ALERTS: &str = include_str!("../../../../../docs/ALERTS.md");

#[derive(Template)]
#[template(path = "guide.html")]
struct GuidePage {
    frame: Frame,
    sections: Vec<Section>,
}

/// The section about one alert.
struct Section {
    name: &'static str,
    text: &'static str,
}

pub(super) async fn page(Extension(asking): Extension<Asking>) -> impl IntoResponse {
    Page(GuidePage { frame: Frame::of(&asking), sections: sections() })
}

fn sections() -> Vec<Section> {
    let sections = ALERTS.split("\n### ").skip(1).filter_map(|section| section.split_once('\n'));
    sections.map(|(name, text)| Section { name, text: text.split("\n## ").next().unwrap_or_default().trim() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alarm_of_the_overview_has_its_section() {
        let alarms = include_str!("overview/alarms.rs");
        let named = alarms.split('"').filter(|text| text.starts_with("TeeServer"));
        let sections = sections();
        let mut count = 0;
        for name in named {
            assert!(sections.iter().any(|section| section.name == name && !section.text.is_empty()), "{name}");
            count += 1;
        }
        assert!(count >= 8, "{count}");
        assert!(sections.iter().all(|section| !section.text.contains("##")));
    }
}
