package senders

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	stripe "github.com/stripe/stripe-go/v82/webhook"

	"github.com/latchkey-go/latchkey/web/webhook"
)

const cases = 1000

// text returns n random characters.
func text(draw *rand.Rand, n int, alphabet string) string {
	var b strings.Builder
	for range n {
		b.WriteByte(alphabet[draw.IntN(len(alphabet))])
	}
	return b.String()
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

// spoil usually changes one byte of s.
func spoil(draw *rand.Rand, s string) string {
	if s == "" || draw.IntN(3) == 0 {
		return s
	}
	i := draw.IntN(len(s))
	return s[:i] + text(draw, 1, letters) + s[i+1:]
}

// Latchkey and the reference implementation of Standard Webhooks give the same
// verdict on messages that the reference has signed, unchanged or changed
// afterwards.
func TestStandardWebhooks(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2026))
	good, bad := 0, 0
	for range cases {
		secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(text(draw, 24+draw.IntN(41), letters)))
		theirs, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := webhook.Standard(secret)
		if err != nil {
			t.Fatal(err)
		}
		id, body := "msg_"+text(draw, 1+draw.IntN(30), letters), []byte(text(draw, draw.IntN(200), letters+"{}\":. \n"))
		at := time.Now().Add(time.Duration(draw.IntN(1200)-600) * time.Second).Truncate(time.Second)
		if d := time.Since(at).Abs(); d > 290*time.Second && d < 310*time.Second {
			at = at.Add(30 * time.Second) // the duration of the test affects neither side of the limit
			if time.Since(at).Abs() < 310*time.Second && time.Since(at).Abs() > 290*time.Second {
				continue
			}
		}
		signature, err := theirs.Sign(id, at, body)
		if err != nil {
			t.Fatal(err)
		}
		for range draw.IntN(4) {
			signature = "v1," + base64.StdEncoding.EncodeToString([]byte(text(draw, 32, letters))) + " " + signature
		}
		h := make(http.Header)
		h.Set("webhook-id", id)
		h.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
		h.Set("webhook-signature", signature)
		switch draw.IntN(4) {
		case 0:
			h.Set("webhook-id", spoil(draw, id))
		case 1:
			h.Set("webhook-signature", spoil(draw, signature))
		case 2:
			body = []byte(spoil(draw, string(body)))
		}
		m, got := ours.Verify(h, body, time.Now())
		want := theirs.Verify(body, h)
		if (got == nil) != (want == nil) {
			t.Fatalf("%v\n%q\nthe reference says %v, we say %v", h, body, want, got)
		}
		if got == nil {
			if good++; m.ID != h.Get("webhook-id") || !m.Sent.Equal(at) {
				t.Fatalf("the message is %+v", m)
			}
		} else {
			bad++
		}
	}
	if good < cases/10 || bad < cases/10 {
		t.Errorf("%d messages were good and %d bad: too few of one kind", good, bad)
	}
}

// Latchkey and Stripe's own library give the same verdict on messages.
func TestStripe(t *testing.T) {
	draw := rand.New(rand.NewPCG(2, 2026))
	good, bad := 0, 0
	for range cases {
		secret := "whsec_" + text(draw, 32, letters)
		ours, err := webhook.Stripe(secret)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now().Truncate(time.Second)
		if draw.IntN(4) == 0 {
			at = at.Add(-time.Hour)
		}
		signed := stripe.GenerateTestSignedPayload(&stripe.UnsignedPayload{
			Payload: []byte(`{"id":"evt_` + text(draw, 10, letters) + `"}`), Secret: secret, Timestamp: at,
		})
		header, body := signed.Header, signed.Payload
		switch draw.IntN(4) {
		case 0:
			body = []byte(spoil(draw, string(body)))
		case 1: // only the signature is changed: in other respects, Latchkey is stricter on purpose
			prefix, signature, _ := strings.Cut(header, ",v1=")
			header = prefix + ",v1=" + spoil(draw, signature)
		}
		h := make(http.Header)
		h.Set("Stripe-Signature", header)
		_, got := ours.Verify(h, body, time.Now())
		want := stripe.ValidatePayload(body, header, secret)
		if (got == nil) != (want == nil) {
			t.Fatalf("%s\n%q\nStripe says %v, we say %v", header, body, want, got)
		}
		if got == nil {
			good++
		} else {
			bad++
		}
	}
	if good < cases/10 || bad < cases/10 {
		t.Errorf("%d messages were good and %d bad: too few of one kind", good, bad)
	}
}
