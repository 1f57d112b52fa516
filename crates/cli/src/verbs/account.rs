//! `register`, `login`, `logout`, `whoami`.
//!
//! Invariant: a login is written down only after the pool has given it.

use super::Context;
use crate::args::{LoginArgs, RegisterArgs};
use crate::connect::Route;
use crate::exit::Exit;
use crate::failure::Done;
use crate::secret::{Ask, password, typed_line};
use crate::show::{Said, moment};
use serde_json::json;

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
    client.register(&args.username, &password, &email).await?;
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
    });
    let until = ctx.face.look.moment(who.token_expires_at_unix_ms);
    let text = format!("{} ({}) at {}, until {until}", who.username, who.role, route.server);
    ctx.face.show(&Said::new(text, facts).bare(who.username))?;
    Ok(Exit::Ok)
}
