//! `register`, `login`, `logout`, `whoami`, `invite`.
//!
//! Invariant: a login is written down only after the pool has given it.

use super::Context;
use crate::args::{InviteArgs, LoginArgs, RegisterArgs};
use crate::connect::Route;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::secret::{Ask, invitation, password, typed_invitation, typed_line};
use crate::show::{Said, Word, moment};
use hivemind_model::Code;
use serde_json::json;
use std::time::Duration;

/// Longest life of an invitation.
const LONGEST_INVITATION: Duration = Duration::from_secs(365 * 86_400);

/// Makes an account and, where not told otherwise, logs in.
///
/// # Errors
/// The name is taken or not allowed, the password too short, or the pool does not answer.
pub async fn register(ctx: &mut Context, args: &RegisterArgs) -> Done {
    let route = ctx.route()?;
    let client = route.anonymous().await?;
    let email = match &args.email {
        Some(email) => email.clone(),
        None => typed_line("Email: ", "--email NAME@DOMAIN is missing")?,
    };
    let password = password(args.password.password_file.as_deref(), Ask::Twice)?;
    let invitation = invitation(args.invitation_file.as_deref())?;
    let with = async |code: &str| client.register_invited(&args.username, &password, &email, code).await;
    match with(invitation.as_deref().unwrap_or_default()).await {
        // Whether the pool wants one is known only from its answer.
        Err(error) if invitation.is_none() && error.code() == Some(Code::Invitation.as_str()) => {
            let code = typed_invitation()?.ok_or_else(|| Failure::from(error))?;
            with(&code).await?;
        }
        registered => registered?,
    }
    if args.no_login {
        let said =
            Said::new(format!("registered {}", args.username), json!({"username": args.username, "logged_in": false}));
        ctx.face.show(&said)?;
        return Ok(Exit::Ok);
    }
    log_in(&route, &args.username, &password).await?;
    let said = Said::new(
        format!("registered {} and logged in", args.username),
        json!({"username": args.username, "logged_in": true}),
    );
    ctx.face.show(&said)?;
    Ok(Exit::Ok)
}

/// Logs in and remembers the pool.
///
/// # Errors
/// Wrong name or password, or the pool does not answer.
pub async fn login(ctx: &mut Context, args: &LoginArgs) -> Done {
    let route = ctx.route()?;
    let password = password(args.password.password_file.as_deref(), Ask::Once)?;
    let expires_at = log_in(&route, &args.username, &password).await?;
    let facts = json!({"username": args.username, "server": route.server, "expires_at": moment(expires_at)});
    let until = ctx.face.look.moment(expires_at);
    ctx.face.show(&Said::new(format!("logged in to {} as {} until {until}", route.server, args.username), facts))?;
    Ok(Exit::Ok)
}

async fn log_in(route: &Route, username: &str, password: &str) -> Done<i64> {
    let session = route.anonymous().await?.login(username, password).await?;
    route.remember(username, &session)?;
    Ok(session.expires_at.0)
}

/// Forgets the login.
///
/// # Errors
/// The file cannot be removed.
pub fn logout(ctx: &mut Context) -> Done {
    let said = match crate::connect::forget(&ctx.global)? {
        true => Said::new("logged out", json!({"logged_out": true})),
        false => Said::new("nobody was logged in", json!({"logged_out": false})),
    };
    ctx.face.show(&said)?;
    Ok(Exit::Ok)
}

/// Tells who is logged in.
///
/// # Errors
/// Nobody is, or the pool does not answer.
pub async fn whoami(ctx: &mut Context) -> Done {
    let route = ctx.route()?;
    let who = route.user().await?.whoami().await?;
    let facts = json!({
        "username": who.username,
        "user_id": who.user_id,
        "role": who.role,
        "server": route.server,
        "expires_at": moment(who.token_expires_at_unix_ms),
        "level": who.level,
        "beta": who.beta,
        "vote": who.vote,
    });
    let until = ctx.face.look.moment(who.token_expires_at_unix_ms);
    let benefits = [(who.beta, "sees beta features"), (who.vote, "has a vote")];
    let benefits: Vec<&str> = benefits.into_iter().filter(|(has, _)| *has).map(|(_, what)| what).collect();
    let level = match (who.level.as_str(), benefits.is_empty()) {
        ("", _) => String::new(),
        (level, true) => format!("\nlevel {level}"),
        (level, false) => format!("\nlevel {level}: {}", benefits.join(", ")),
    };
    let text = format!("{} ({}) at {}, until {until}{level}", who.username, who.role, route.server);
    ctx.face.show(&Said::new(text, facts).bare(who.username))?;
    Ok(Exit::Ok)
}

/// Makes a code with which people can register, and prints it alone.
///
/// # Errors
/// It should live too long, the user is no operator, or the pool does not answer.
pub async fn invite(ctx: &mut Context, args: &InviteArgs) -> Done {
    if args.valid > LONGEST_INVITATION || args.valid < Duration::from_secs(1) || args.valid.subsec_nanos() != 0 {
        return Err(Failure::usage("--valid: an invitation lives between 1s and 365d, in whole seconds"));
    }
    let made = ctx.user().await?.create_invitation(args.uses, args.valid).await?;
    let word = Word::new("invitation", made.code).with("uses", args.uses).with("expires_at", moment(made.expires_at.0));
    ctx.face.show(&word)?;
    let until = ctx.face.look.moment(made.expires_at.0);
    let who = if args.uses == 1 { "who gets it says".to_owned() } else { format!("{} people can say", args.uses) };
    ctx.face.say(&format!("before {until}, {who}: hivemind register NAME --invitation-file FILE"));
    Ok(Exit::Ok)
}
