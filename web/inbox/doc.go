// Package inbox serves pages on which people decide. The decisions are the
// results of waiting activities.
//
// The activity posts a request in the function of async.Start:
//
//	func (a *Activities) Approve(ctx context.Context, e Expense) (Decision, error) {
//		return async.Start(ctx, a.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
//			_, err := a.inbox.Post(ctx, p.Callback, inbox.Request{
//				Title: "Expense of " + e.Amount(),
//				For:   []string{"finance"},
//				NotBy: []string{e.Employee},
//				Needs: 2,
//			})
//			return err
//		})
//	}
//
// # Types
//
//   - [New] returns an [Inbox], which is an http.Handler. [Options] names the
//     result types, the sign-in and the application's own rule.
//   - [Request] is what people decide on, with [Fact] for the rows of its table.
//     [Inbox.Post] adds a request to a waiting activity. Post
//     returns [ErrInvalidRequest] for a request that exceeds a limit.
//   - [Person] is who looks at a request or decides.
//   - [Vote] is the answer of one person. A result type that implements [Decided]
//     gets the votes, so that the workflow knows who decided.
//   - [Refusal] is the error of an action that a rule does not allow.
//
// # State
//
// The request is a note in the journal of the round. Every action of people on
// the request is also a note: votes, claims, delegations and comments. The
// deciding vote and the outcome are one write. The inbox keeps no other state.
//
// # Ways to act
//
// A person can act in these ways:
//
//   - on a page after sign-in ([Options].Identify);
//   - with JSON at the same addresses;
//   - by a sealed link without sign-in: [Inbox.Link], or the links that
//     [Options].OnPost sends;
//   - through an adapter that calls [Inbox.Decide], for example for a chat system.
//
// For every way to act, one function decides what a person may do. GET and HEAD
// never act.
//
// # Rules
//
//   - [Request].For lists people and groups. Only they, and people to whom one of
//     them has delegated the request, may look at it and decide.
//   - [Request].NotBy lists people and groups who may not decide, such as the person
//     who filed the expense. It is stronger than For and than a delegation.
//   - [Request].Needs people must give the same answer. People may change their
//     answer until then.
//   - [Options].May is the application's own rule.
//   - With Needs of 1 a person may claim a request. Others cannot answer until
//     the claim is released; they may take over the claim, and the journal
//     shows this.
//
// # Links
//
// A link belongs to its addressee. In For, NotBy and Needs it counts as that
// person, even if it was forwarded to many people. The journal says "link for
// ada@example.com, says Ada".
package inbox
