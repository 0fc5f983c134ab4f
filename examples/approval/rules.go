package main

import "github.com/latchkey-go/latchkey/web/inbox"

// financeAbove is the amount in cents above which finance decides.
const financeAbove = 1_000_00

// requestFor returns the request for an expense by the rules of the company.
// The employee's manager decides; above €1,000, two people of finance decide.
// The employee never decides.
func requestFor(e Expense) inbox.Request {
	r := inbox.Request{
		Title: "Expense of " + e.Amount(),
		Facts: []inbox.Fact{{Name: "Employee", Value: e.Name}, {Name: "Purpose", Value: e.Purpose}, {Name: "Amount", Value: e.Amount()}},
		For:   []string{managerOf(e.Employee)},
		NotBy: []string{e.Employee},
	}
	if e.Cents > financeAbove {
		r.For, r.Needs = []string{finance}, 2
	}
	return r
}
