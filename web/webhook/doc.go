// Package webhook accepts answers to activities over HTTP.
//
// # Handlers
//
// There are two handlers, because two kinds of sender need different statuses.
//
//   - [Handler] serves one callback's own address. Anyone who has the address can
//     answer. The sender gets an honest status: 404, 409, 410, 422.
//   - [Receive] serves the one address to which a third party sends all its
//     webhooks. Such senders disable an address that answers 410, and repeat
//     every other failure for days. Receive answers 204 for everything that a
//     repeat would not change.
//
// # Addresses
//
// Without [Options].Keys, the token of an address is the callback ID. With Keys,
// the token is a sealed link, which has an expiry, a set of allowed actions and
// an addressee. A link can be neither read nor changed without the key. With
// Keys, a callback ID alone opens nothing. Send links to people; keep callback
// IDs between services.
//
// Mail scanners and link previews open links, and some run scripts and submit
// forms. GET and HEAD never act. Every POST that acts needs a body of type
// application/json or no body. A form can send neither.
//
// # Answers
//
// A 200 means that the answer is accepted and stored. The state in the response
// says whether Temporal already has the answer. "delivered": false is normal
// while Temporal cannot be reached, or if the hub has no completer. A refusal
// is an RFC 9457 problem document with a stable code; [Status] has the table.
// After a 503 the outcome is unknown: send the same answer again.
//
// A process that faces the internet should use a hub without a completer. A
// process without a completer needs no credentials for Temporal, and accepts
// answers while Temporal cannot be reached. Another process with the same store
// delivers the answers.
//
// # Verifiers
//
// [Standard], [Stripe], [GitHub] and [Slack] check signatures in constant time,
// and refuse short secrets, old messages and more than 16 signatures. The ID of
// a [Message] comes from signed content, never from a header that was not
// signed.
package webhook
