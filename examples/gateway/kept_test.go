package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// An answer that is kept is read at once, but not for ever.
func TestKept(t *testing.T) {
	t.Parallel()
	require.False(t, (*kept)(nil).whole())
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int64{0, 10, 64 << 10, 64<<10 + 1, 1 << 40} {
			b := &countedBody{left: size, closed: make(chan struct{})}
			k := keep(&http.Response{Body: b}, nil)
			<-b.closed
			require.Equal(t, size <= 64<<10, k.whole())
			require.Equal(t, min(size, 64<<10+1), b.read)
			body, err := io.ReadAll(k.resp.Body)
			require.NoError(t, err)
			require.EqualValues(t, b.read, len(body))
		}
		r, w := io.Pipe()
		defer w.Close()
		start := time.Now()
		require.False(t, keep(&http.Response{Body: r}, nil).whole(), "it does not come")
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

// What is glanced at is still there, and one that stands still is not waited for.
func TestGlance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for size, want := range map[int]bool{0: true, maxKept - 1: true, maxKept: false, 3 * maxKept: false} {
			text := strings.Repeat("x", size)
			resp := &http.Response{Body: io.NopCloser(strings.NewReader(text))}
			said, ok := glance(resp)
			require.Equal(t, want, ok)
			require.True(t, string(said) == text[:min(size, maxKept)])
			all, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.True(t, string(all) == text)
		}
		r, w := io.Pipe()
		start := time.Now()
		go io.WriteString(w, "half")
		resp := &http.Response{Body: r}
		said, ok := glance(resp)
		require.Empty(t, said)
		require.False(t, ok)
		require.Equal(t, keptSoon, time.Since(start))
		go func() {
			io.WriteString(w, " and half")
			w.Close()
		}()
		all, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "half and half", string(all))
	})
}

type countedBody struct {
	left, read int64
	closed     chan struct{}
}

func (b *countedBody) Read(p []byte) (int, error) {
	n := min(int64(len(p)), b.left)
	if n == 0 {
		return 0, io.EOF
	}
	b.left -= n
	b.read += n
	return int(n), nil
}

func (b *countedBody) Close() error {
	close(b.closed)
	return nil
}
