package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/latchkey-go/latchkey/web/inbox"
)

// The groups of the company.
const (
	employees = "employees"
	managers  = "managers"
	finance   = "finance"
)

// member is a person of the company.
type member struct {
	inbox.Person
	Manager string // the ID of the person's manager
}

// company is the directory of people. In production, a database or an identity
// provider has this directory.
var company = []member{
	{inbox.Person{ID: "ada@example.com", Name: "Ada", Groups: []string{employees}}, "grace@example.com"},
	{inbox.Person{ID: "grace@example.com", Name: "Grace", Groups: []string{employees, managers}}, "frances@example.com"},
	{inbox.Person{ID: "barbara@example.com", Name: "Barbara", Groups: []string{employees, finance}}, "frances@example.com"},
	{inbox.Person{ID: "edsger@example.com", Name: "Edsger", Groups: []string{employees, finance}}, "frances@example.com"},
	{inbox.Person{ID: "frances@example.com", Name: "Frances", Groups: []string{employees, managers, finance}}, "grace@example.com"},
}

// find returns the person with an ID and the person's current groups. The inbox
// calls find for links and delegations. The name of a group is not an ID, so a
// mail to a group has the address of a page that asks for a sign-in.
func find(_ context.Context, id string) (inbox.Person, error) {
	i := slices.IndexFunc(company, func(m member) bool { return m.ID == id })
	if i < 0 {
		return inbox.Person{}, fmt.Errorf("%q is no person of the company", id)
	}
	p := company[i].Person
	p.Groups = slices.Clone(p.Groups)
	return p, nil
}

func managerOf(id string) string {
	for _, m := range company {
		if m.ID == id {
			return m.Manager
		}
	}
	return managers // managers of a person who has left
}
