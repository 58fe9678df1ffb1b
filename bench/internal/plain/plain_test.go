package plain

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const uuid = "ca40aa6d-4238-464e-98df-6ba3e9377c6e"

func TestSession(t *testing.T) {
	t.Parallel()
	header := http.Header{"X-Session-Id": {"s"}}
	for _, tt := range []struct {
		header http.Header
		body   string
		want   string
	}{
		{header, `{"conversation_id":"c"}`, "header:s"},
		{header, ``, "header:s"},
		{nil, `{"conversation_id":"c","metadata":{"user_id":"user_a_account__session_` + uuid + `"}}`, "claude:" + uuid},
		{nil, `{"metadata":{"user_id":"{\"session_id\":\"x\"}"}}`, "claude:x"},
		{nil, `{"conversation_id":"c","session_id":"s"}`, "conversation_id:c"},
		{nil, `{"metadata":{"user_id":"anna","session_id":"s"}}`, "metadata.session_id:s"},
		{nil, `{"prompt_cache_key":"p"}`, "prompt_cache_key:p"},
		{nil, `{"metadata":{"user_id":"anna"}}`, "user:anna"},
		{nil, `{}`, ""},
		{nil, ``, ""},
		{nil, `{"messages":[]}`, ""},
		{nil, `{"messages":[{"role":"assistant","content":"hi"}]}`, ""},
	} {
		require.Equal(t, tt.want, Session(tt.header, []byte(tt.body)), "%s", tt.body)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	hash := func(body string) string { return Messages([]byte(body)) }
	first := hash(`{"system":"s","messages":[{"role":"user","content":"a"}]}`)
	require.Regexp(t, `^messages:[0-9a-f]{64}$`, first)
	require.Equal(t, first, Session(nil, []byte(`{"system":"s","messages":[{"role":"user","content":"a"}]}`)))
	for body, same := range map[string]bool{
		`{"system":"s","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"x"},{"role":"user","content":"b"}]}`: true,
		`{"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]}`:                true,
		`{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]}`:                                               true,
		`{"system":"t","messages":[{"role":"user","content":"a"}]}`:                                                                  false,
		`{"system":"s","messages":[{"role":"user","content":"b"}]}`:                                                                  false,
	} {
		require.Equal(t, same, first == hash(body), "%s", body)
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	targets := []*Target{{"a"}, {"b"}, {"c"}}
	m := NewMap(time.Hour)
	s := &Selector{Get: m.Get, Set: m.Set}
	pick := func(id string, targets []*Target) string {
		target, err := s.Select(http.Header{"X-Session-Id": {id}}, nil, targets)
		require.NoError(t, err)
		return target.Name
	}
	homes := map[string]string{}
	for i := range 6 {
		id := fmt.Sprint(i)
		homes[id] = pick(id, targets)
		require.Equal(t, targets[i%3].Name, homes[id], "round robin")
	}
	for id, home := range homes {
		require.Equal(t, home, pick(id, targets))
		require.Equal(t, home, pick(id, []*Target{targets[2], targets[0], targets[1]}))
	}
	require.Equal(t, "a", homes["0"])
	moved := pick("0", targets[1:])
	require.NotEqual(t, "a", moved)
	require.Equal(t, moved, pick("0", targets), "it has moved")

	_, err := s.Select(nil, nil, nil)
	require.ErrorIs(t, err, ErrNoTarget)
	before := len(m.m)
	_, err = s.Select(nil, []byte(`{}`), targets)
	require.NoError(t, err)
	require.Equal(t, before, len(m.m), "nobody's")
}

func TestMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMap(time.Minute)
		stop := m.SweepEvery(10 * time.Second)
		defer stop()
		for _, key := range []string{"used", "unused", "other"} {
			m.Set(key, "target of "+key)
		}
		m.Invalidate("target of other")
		require.Len(t, m.m, 2)
		for range 3 {
			<-time.After(40 * time.Second)
			target, ok := m.Get("used")
			require.True(t, ok)
			require.Equal(t, "target of used", target)
		}
		require.Len(t, m.m, 1, "swept")
		stop()
		synctest.Wait()
		<-time.After(61 * time.Second)
		_, ok := m.Get("used")
		require.False(t, ok)
		require.Len(t, m.m, 1, "not swept")
		m.Sweep()
		require.Empty(t, m.m)
	})
}

func TestMapConcurrently(t *testing.T) {
	t.Parallel()
	m := NewMap(time.Hour)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 200 {
				key := fmt.Sprint(j % 10)
				m.Set(key, fmt.Sprint(i))
				m.Get(key)
				m.Invalidate(fmt.Sprint(3 - i))
				m.Sweep()
			}
		})
	}
	wg.Wait()
}
