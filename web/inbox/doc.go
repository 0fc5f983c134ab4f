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
// The request is a note in the journal of the round. Every action of people on
// the request is also a note: votes, claims, delegations and comments. The
// deciding vote and the outcome are one write. The inbox keeps no other state.
//
// # Ways in
//
// A person acts on a page after sign-in (Options.Identify), through the same
// addresses with JSON, by a sealed link without sign-in (Inbox.Link), or
// through an adapter that calls Inbox.Decide, for example for a chat system.
// For every way to act, one function decides what a person may do. GET and HEAD
// never act.
//
// # Rules
//
//   - Request.For lists people and groups. Only they, and people to whom one of
//     them has delegated the request, may look at it and decide.
//   - Request.NotBy lists people and groups who may not decide, such as the person
//     who filed the expense. It is stronger than For and than a delegation.
//   - Request.Needs people must give the same answer. People may change their
//     answer until then.
//   - Options.May is the application's own rule.
//   - With Needs of 1 a person may claim a request. Others cannot answer until
//     the claim is released; they may take over the claim, and the journal
//     shows this.
//
// A link belongs to its addressee. In For, NotBy and Needs it counts as that
// person, even if it was forwarded to many people. The journal says "link for
// ada@example.com, says Ada".
package inbox
