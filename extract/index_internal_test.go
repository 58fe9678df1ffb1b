package extract

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A body of more members than any request has is none, and is not read on.
func TestBodyOfTooManyMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	t.Parallel()
	for _, c := range []struct{ head, member, tail string }{
		{`{"model":"m",`, `"a":1`, `,"session_id":"s","messages":["a"]}`},
		{`{"model":"m",`, `"messages":["a"]`, `,"session_id":"s"}`},
		{`{"session_id":"s","messages":["a"],"metadata":{`, `"user_id":""`, `}}`},
		{`{"model":"m","session_id":"","metadata":{`, `"user_id":"u"`, `},"thread_id":"s","messages":["a"]}`},
	} {
		body := func(n int) string {
			return c.head + strings.TrimSuffix(strings.Repeat(c.member+",", n), ",") + c.tail
		}
		for n, want := range map[int]bool{maxMembers - 10: true, maxMembers: false, 2 * maxMembers: false} {
			whole := &Request{Body: []byte(body(n))}
			require.Equal(t, want, whole.read())
			require.LessOrEqual(t, int(whole.index.counted), maxMembers+2)
			require.Equal(t, want, whole.Boundaries() != nil)
			_, ok := Trail().Extract(&Request{Body: []byte(body(n))})
			require.Equal(t, want, ok)
		}
	}
	// Wherever it breaks off, it is not taken for one that is whole.
	for n := maxMembers - 3; n < maxMembers+3; n++ {
		for _, head := range []string{`{"a":1`, `{"metadata":{"a":1`} {
			body := head + strings.Repeat(`,"a":1`, n)
			require.False(t, (&Request{Body: []byte(body)}).read())
			closed := &Request{Body: []byte(body + strings.Repeat("}", strings.Count(head, "{")))}
			require.Equal(t, n+2*strings.Count(head, "{") <= maxMembers, closed.read(), "%d %s", n, head)
		}
	}
}
