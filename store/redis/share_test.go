package redis

import (
	"slices"
	"testing"
)

func TestShareOut(t *testing.T) {
	for _, c := range []struct {
		n          int
		left, want []int
	}{
		{n: 10, left: []int{}, want: []int{}},
		{n: 1, left: []int{5, 5, 5}, want: []int{1}},
		{n: 2, left: []int{5, 5, 5}, want: []int{1, 1}},
		{n: 6, left: []int{5, 5, 5}, want: []int{2, 2, 2}},
		{n: 7, left: []int{5, 5, 5}, want: []int{3, 2, 2}},
		{n: 10, left: []int{1, 100, 2}, want: []int{1, 7, 2}},
		{n: 100, left: []int{1, 2, 3}, want: []int{1, 2, 3}},
		{n: 1000, left: []int{1000, 1000}, want: []int{500, 500}},
	} {
		var shares []share
		for i, left := range c.left {
			shares = append(shares, share{shard: i, left: left})
		}
		got := []int{}
		for _, sh := range shareOut(shares, c.n) {
			got = append(got, sh.n)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d shared out among %v: got %v, want %v", c.n, c.left, got, c.want)
		}
	}
}
