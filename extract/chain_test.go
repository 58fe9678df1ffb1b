package extract_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// What an extractor says of a request that it does not know is not the next
// one's: without an ID, or with a second result of false, nothing else counts.
func TestChainForgetsWhatWasNotFound(t *testing.T) {
	half := func(found bool) extract.Extractor {
		id := map[bool]string{false: "refused"}[found]
		return extract.ExtractorFunc(func(*extract.Request) (extract.Session, bool) {
			return extract.Session{Source: "s", ID: id, Thread: "t", ParentThread: "p", Parent: "other", Aliases: []string{"a"}, Near: []string{"n"}}, found
		})
	}
	r := func() *extract.Request {
		return &extract.Request{Header: http.Header{"X-Session-Id": {"an-id-of-a-session"}}}
	}
	want, ok := extract.Headers().Extract(r())
	require.True(t, ok)
	for _, last := range []extract.Extractor{extract.Headers(), extract.Header("X-Session-Id")} {
		for _, found := range []bool{false, true} { // true by mistake, since there is no ID
			got, ok := extract.Chain{half(found), last}.Extract(r())
			require.True(t, ok)
			require.Equal(t, want, got)
			got, ok = extract.Chain{half(found)}.Extract(r())
			require.False(t, ok)
			require.Zero(t, got)
		}
	}
}

// Find and Complete find what Extract does, whatever is in the Session before, and leave
// it zero if there is none, whatever an extractor says of it.
func TestChainFind(t *testing.T) {
	t.Parallel()
	refusal := extract.ExtractorFunc(func(*extract.Request) (extract.Session, bool) {
		return extract.Session{Source: "refused", ID: "refused"}, false
	})
	for _, c := range []extract.Chain{nil, {extract.Headers()}, {refusal}, {extract.ClaudeCode(), extract.Header("X-Other")}, append(extract.Default(), refusal), {refusal, extract.Default(), refusal}} {
		for _, r := range []*extract.Request{
			{}, {Header: header("X-Session-Id", "a")}, {Header: header("X-Session-Id", "a", "X-Parent-Session-Id", "p")}, {Header: header("X-Claude-Code-Session-Id", uuid, "X-Claude-Code-Agent-Id", "b")},
			{Body: []byte(`{"metadata":{"user_id":"u"}}`)}, {Body: []byte(`{"metadata":{"user_id":""},"session_id":"null"}`)}, {Body: []byte(chat(u("hi")))},
			{Path: "/v1/messages", Header: header("X-Session-Id", "a"), Body: []byte(`{"a":1}`)},
			{Path: "/v1/messages", Header: header("X-Session-Id", "a"), Body: []byte(`{"metadata":{"user_id":"user_ab_account__session_` + uuid + `"}}`)},
		} {
			want, ok := c.Extract(r)
			s := extract.Session{Source: "before", ID: "before", Thread: "t", Parent: "p", Near: []string{"n"}, Class: extract.Probe}
			require.Equal(t, ok, c.Find(r, &s))
			r.Complete(&s)
			require.Equal(t, want, s)
			if !ok {
				require.Zero(t, s)
			}
		}
	}
}

// What an extractor says of the parent is not looked up again in the headers.
func TestCompleteLeavesOthers(t *testing.T) {
	t.Parallel()
	orphan := extract.ExtractorFunc(func(r *extract.Request) (extract.Session, bool) {
		s, ok := extract.Headers().Extract(r)
		s.Parent = ""
		return s, ok
	})
	s, ok := extract.Chain{orphan}.Extract(&extract.Request{Header: header("X-Session-Id", "a", "X-Parent-Session-Id", "p")})
	require.True(t, ok)
	require.Equal(t, "a", s.ID)
	require.Empty(t, s.Parent)
}

func TestChain(t *testing.T) {
	t.Parallel()
	r := &extract.Request{Header: header("A", "1", "B", "2")}
	requireSession(t, extract.Chain{}, r, "", "")
	requireSession(t, extract.Chain(nil), r, "", "")
	requireSession(t, extract.Chain{extract.Header("B"), extract.Header("A")}, r, "b", "2")
	requireSession(t, extract.Chain{extract.Header("C"), extract.Chain{extract.Header("D")}, extract.Chain{extract.Header("A")}}, r, "a", "1")
	requireSession(t, extract.Default(), &extract.Request{}, "", "")

	// What the extractors before found is not looked at.
	asked := extract.ExtractorFunc(func(*extract.Request) (extract.Session, bool) { panic("asked") })
	requireSession(t, extract.Chain{extract.Header("A"), asked}, r, "a", "1")
}
