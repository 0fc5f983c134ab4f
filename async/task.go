package async

import "time"

// kind is the kind of a task.
type kind int

const (
	aBeat    kind = iota // a heartbeat, or any other call that is not a delivery
	anAnswer             // the delivery of an outcome
)

// task is work for a slot.
type task struct {
	kind     kind
	deadline time.Time
	do       func() (after func())
	putOff   func() // of an answer
	carried  bool   // the task belongs to a caller that may wait for it
}

// tasks is a heap with the nearest deadline on top.
type tasks []task

func (t tasks) Len() int           { return len(t) }
func (t tasks) Less(i, j int) bool { return t[i].deadline.Before(t[j].deadline) }
func (t tasks) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *tasks) Push(x any)        { *t = append(*t, x.(task)) }
func (t *tasks) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	(*t)[last] = task{}
	*t = (*t)[:last]
	return x
}
