package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var amount = regexp.MustCompile(`^([0-9]{1,6})(?:[.]([0-9]{2}))?$`)

// parseCents reads an amount such as "84.20" or "84".
func parseCents(s string) (int64, error) {
	m := amount.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return 0, errors.New("an amount must be a number such as 84.20, below a million")
	}
	if m[2] == "" {
		m[2] = "00"
	}
	cents, err := strconv.ParseInt(m[1]+m[2], 10, 64)
	if err == nil && cents == 0 {
		err = errors.New("an amount must be above zero")
	}
	return cents, err
}

// Amount returns the amount as text for people.
func (e Expense) Amount() string {
	whole := fmt.Sprint(e.Cents / 100)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return fmt.Sprintf("€%s.%02d", whole, e.Cents%100)
}
