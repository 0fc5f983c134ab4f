package record

// States of an activity.
const (
	NoState = State_STATE_UNSPECIFIED
	Waiting = State_STATE_WAITING
	Settled = State_STATE_SETTLED
	Closed  = State_STATE_CLOSED
)

// Kinds of outcomes.
const (
	NoKind       = Kind_KIND_UNSPECIFIED
	Result       = Kind_KIND_RESULT
	Failure      = Kind_KIND_FAILURE
	Cancellation = Kind_KIND_CANCELLATION
)

// Ways in which an entry closes.
const (
	NoEnd           = End_END_UNSPECIFIED
	EndDelivered    = End_END_DELIVERED
	EndTimedOut     = End_END_TIMED_OUT
	EndOther        = End_END_OTHER
	EndUnknown      = End_END_UNKNOWN
	EndAbandoned    = End_END_ABANDONED
	EndTypeMismatch = End_END_TYPE_MISMATCH
)

// Hooks that a notice can be for.
const (
	NoNotice              = NoticeKind_NOTICE_KIND_UNSPECIFIED
	NoticeDelivered       = NoticeKind_NOTICE_KIND_DELIVERED
	NoticeOver            = NoticeKind_NOTICE_KIND_OVER
	NoticeRefused         = NoticeKind_NOTICE_KIND_REFUSED
	NoticeCancelRequested = NoticeKind_NOTICE_KIND_CANCEL_REQUESTED
	NoticePaused          = NoticeKind_NOTICE_KIND_PAUSED
	NoticeReset           = NoticeKind_NOTICE_KIND_RESET
)
