/** What an account's name and password must be, checked before they are sent; the pool has the last word. */

const NAME = /^[a-zA-Z0-9._-]{3,32}$/;

export type SignUp = { username: string; password: string; email: string; invitation: string };
export type Faults = Partial<Record<keyof SignUp, string>>;

export function signUpFaults(fields: SignUp, invitationNeeded: boolean): Faults {
  const faults: Faults = {};
  if (!NAME.test(fields.username)) faults.username = "3 to 32 letters (a to z), digits, points, underscores or hyphens.";
  const size = new TextEncoder().encode(fields.password).length;
  if (size < 8) faults.password = "At least 8 characters.";
  else if (size > 1024) faults.password = "At most 1,024 bytes.";
  else if (fields.password.toLowerCase() === fields.username.toLowerCase()) faults.password = "Something else than the user name.";
  if (!/^[^\s@]+@[^\s@]+$/.test(fields.email.trim())) faults.email = "An address such as you@example.org.";
  if (invitationNeeded && fields.invitation.trim() === "") faults.invitation = "This pool takes new users with an invitation only. Ask its operator for a code.";
  return faults;
}
