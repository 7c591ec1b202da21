use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use crate::{body::JsonBody, caller, json, member::PathMember, problem::Problem, state::AppState};

/// Maximum length of the text in `consent`, in characters.
const MAX_CONSENT_CHARS: usize = 2000;

/// Options for connecting a member to WHOOP.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectRequest {
    /// Address to which the browser is redirected after the member has consented or refused at
    /// WHOOP. It must be below one of `APP_RETURN_URLS`, or be a path of this server, such as `/`
    /// for the Health page.
    #[schema(format = "uri-reference", max_length = 2000)]
    return_to: Option<String>,
    /// Consent that the member gave in the app, such as the version of a consent text.
    #[schema(max_length = 2000)]
    consent: Option<String>,
}

/// Address at which the member consents to the connection.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ConnectResponse {
    /// Address of WHOOP's consent page. Open it in the member's browser within ten minutes.
    authorization_url: String,
}

/// Begins to connect a member to WHOOP.
#[utoipa::path(
    post, operation_id = "beginConnect", path = "/api/v1/whoop/connect/{user_id}", tag = "Connection",
    params(("user_id" = String, Path, description = "The app's id of the member")),
    request_body(content = ConnectRequest, description = "Optional; an empty body has the same effect as an empty object"),
    responses(
        (status = 200, description = "The address at which the member grants access", body = ConnectResponse),
        (status = 400, description = "The body is invalid; `field` names the wrong field", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token belongs to another member", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn begin(
    http_request: HttpRequest,
    member: PathMember,
    body: JsonBody<ConnectRequest>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (PathMember(user_id), JsonBody(request)) = (member, body);
    let return_to = request
        .return_to
        .map(|text| state.return_urls.check(&text))
        .transpose()?;
    if let Some(consent) = &request.consent
        && (consent.chars().count() > MAX_CONSENT_CHARS || consent.contains('\0'))
    {
        return Err(Problem::invalid(
            "invalid-consent",
            "consent",
            format!("the consent may have at most {MAX_CONSENT_CHARS} characters and no NUL"),
        ));
    }
    let entry = caller::audit_actor(&http_request)
        .entry("connect", state.engine.clock().now())
        .about(user_id.as_str())
        .with_detail("begun");
    let url = state
        .run_on_engine(|engine| async move {
            engine.write_audit(&[entry]).await?;
            engine
                .connections
                .begin_connect(&user_id, return_to, request.consent)
                .await
        })
        .await??;
    caller::note_audited(&http_request);
    Ok(json::respond(
        HttpResponse::Ok(),
        &ConnectResponse {
            authorization_url: url.into(),
        },
    ))
}
