use super::*;
use crate::meta::permissions::CORE;
use crate::store::ids::WorkspaceId;

fn page(paid: bool) -> Page {
    Page {
        id: PageRowId(1),
        workspace: WorkspaceId(1),
        meta_id: "1".to_owned(),
        name: "Pine".to_owned(),
        token: Some("t".into()),
        ad_account: paid.then(|| "act_9".to_owned()),
        ad_token: paid.then(|| "a".into()),
        state: "active".to_owned(),
        attention: None,
        connected_at: 0,
        login: None,
        setup_due_at: None,
    }
}

fn token(scopes: &[&str]) -> TokenInfo {
    TokenInfo {
        valid: true,
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        ..TokenInfo::default()
    }
}

fn well() -> Readings {
    Readings {
        token: Some(token(&CORE)),
        missing_events: Some(0),
        has_get_started: Some(true),
        ad_account: Some(Ok(AdAccount {
            id: "act_9".to_owned(),
            status: Some(1),
            country: Some("US".to_owned()),
            has_funding: Some(true),
            ..AdAccount::default()
        })),
        ..Readings::default()
    }
}

fn verdict(findings: &[Finding], point: Point) -> Option<Verdict> {
    let found = findings.iter().find(|finding| finding.point == point);
    found.map(|finding| finding.verdict)
}

#[test]
fn a_page_that_is_well_has_nothing_but_good_points() {
    let findings = judge(&page(true), &well(), &Health::default(), 0);
    assert!(
        findings
            .iter()
            .all(|finding| finding.verdict == Verdict::Good)
    );
    assert_eq!(findings.len(), 8);
}

#[test]
fn a_lost_role_names_both_causes_and_breaks() {
    let readings = Readings {
        refused: Some((190, Some(492), "meaning")),
        ..Readings::default()
    };
    let findings = judge(&page(false), &readings, &Health::default(), 0);
    assert_eq!(verdict(&findings, Point::Role), Some(Verdict::Broken));
    assert!(findings[0].words.contains("two-factor"));
}

#[test]
fn money_and_country_cost_only_the_paid_channel() {
    let mut readings = well();
    readings.ad_account = Some(Ok(AdAccount {
        status: Some(3),
        country: Some("DE".to_owned()),
        has_funding: Some(false),
        ..AdAccount::default()
    }));
    let findings = judge(&page(true), &readings, &Health::default(), 0);
    for point in [Point::AdAccount, Point::Payment, Point::Region] {
        assert_eq!(verdict(&findings, point), Some(Verdict::Attention));
    }
    assert!(
        findings
            .iter()
            .all(|finding| finding.verdict != Verdict::Broken)
    );
    let without = judge(&page(false), &well(), &Health::default(), 0);
    assert_eq!(
        verdict(&without, Point::AdAccount),
        Some(Verdict::Attention)
    );
    assert_eq!(verdict(&without, Point::Payment), None);
}

#[test]
fn a_permission_taken_back_breaks_and_an_empty_list_does_not() {
    let mut readings = well();
    readings.token = Some(token(&["pages_show_list", "pages_manage_metadata"]));
    let findings = judge(&page(true), &readings, &Health::default(), 0);
    assert_eq!(
        verdict(&findings, Point::Permissions),
        Some(Verdict::Broken)
    );
    readings.token = Some(token(&["pages_messaging"]));
    let findings = judge(&page(true), &readings, &Health::default(), 0);
    assert_eq!(
        verdict(&findings, Point::Permissions),
        Some(Verdict::Attention)
    );
    readings.token = Some(token(&[]));
    let findings = judge(&page(true), &readings, &Health::default(), 0);
    assert_eq!(verdict(&findings, Point::Permissions), Some(Verdict::Good));
}

#[test]
fn who_lacks_access_to_leads_is_named() {
    let told = |app_may, person_may| {
        let mut readings = well();
        readings.leads = Some(LeadAccess {
            can_access: false,
            app_may,
            person_may,
        });
        let findings = judge(&page(true), &readings, &Health::default(), 0);
        let found = findings.into_iter().find(|f| f.point == Point::Leads);
        found.unwrap().words
    };
    assert!(told(Some(false), None).contains("CRMs"));
    assert!(told(Some(true), Some(false)).contains("People"));
}
