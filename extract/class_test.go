package extract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// classOf returns the class of a request with that body and nothing else.
func classOf(body string) extract.Class { return (&extract.Request{Body: []byte(body)}).Class() }

// withTools returns a body with a tool in it.
func withTools(body string) string { return `{"tools":[{"name":"a"}],` + body[1:] }

func TestClass(t *testing.T) {
	t.Parallel()
	header := func(kv ...string) *extract.Request {
		h := http.Header{}
		for i := 0; i < len(kv); i += 2 {
			h.Set(kv[i], kv[i+1])
		}
		return &extract.Request{Header: h}
	}
	body := func(s string) *extract.Request { return &extract.Request{Body: []byte(s)} }
	for name, tt := range map[string]struct {
		req  *extract.Request
		want extract.Class
	}{
		"nothing at all":                   {&extract.Request{}, extract.Turn},
		"a plain chat":                     {says("be kind", "hello"), extract.Turn},
		"HEAD":                             {&extract.Request{Method: "HEAD", Path: "/"}, extract.Probe},
		"OPTIONS":                          {&extract.Request{Method: "OPTIONS"}, extract.Probe},
		"GET is no probe":                  {&extract.Request{Method: "GET", Path: "/v1/responses/resp_1"}, extract.Turn},
		"Anthropic counts tokens":          {&extract.Request{Path: "/v1/messages/count_tokens"}, extract.Probe},
		"the tokens of a title's call":     {&extract.Request{Path: "/v1/messages/count_tokens", Body: says("", "Please write a 5-10 word title for the following conversation:").Body}, extract.Probe},
		"Gemini counts tokens":             {&extract.Request{Path: "/v1beta/models/m:countTokens"}, extract.Probe},
		"Vertex AI counts Claude's tokens": {&extract.Request{Path: "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict"}, extract.Probe},
		"Vertex AI has Claude speak":       {&extract.Request{Path: "/v1/projects/p/locations/l/publishers/anthropic/models/m:streamRawPredict"}, extract.Turn},
		"Bedrock counts tokens":            {&extract.Request{Path: "/model/m/count-tokens"}, extract.Probe},
		"what may be said":                 {&extract.Request{Path: "/v1/moderations"}, extract.Auxiliary},
		"Gemini embeds":                    {&extract.Request{Path: "/v1beta/models/m:embedContent"}, extract.Auxiliary},
		"Titan embeds":                     {&extract.Request{Path: "/model/amazon.titan-embed-text-v2:0/invoke", Body: []byte(`{"inputText":"hi"}`)}, extract.Auxiliary},
		"Titan ranks":                      {&extract.Request{Path: "/model/amazon.rerank-v1:0/invoke"}, extract.Auxiliary},
		"Titan answers":                    {&extract.Request{Path: "/model/amazon.titan-text-express-v1/invoke", Body: []byte(`{"inputText":"hi"}`)}, extract.Turn},
		"Hugging Face embeds":              {&extract.Request{Path: "/models/m/pipeline/feature-extraction", Body: []byte(`{"inputs":"hi"}`)}, extract.Auxiliary},
		"Gemini embeds many":               {&extract.Request{Path: "/v1beta/models/m:batchEmbedContents"}, extract.Auxiliary},
		"Gemini embeds in its own time":    {&extract.Request{Path: "/v1beta/models/m:asyncBatchEmbedContent"}, extract.Auxiliary},
		"Gemini answers":                   {&extract.Request{Path: "/v1beta/models/m:streamGenerateContent"}, extract.Turn},
		"Voyage embeds":                    {&extract.Request{Path: "/v1/contextualizedembeddings"}, extract.Auxiliary},
		"Volcengine embeds pictures":       {&extract.Request{Path: "/api/v3/embeddings/multimodal"}, extract.Auxiliary},
		"TEI embeds each token":            {&extract.Request{Path: "/embed_all"}, extract.Auxiliary},
		"TEI embeds sparsely":              {&extract.Request{Path: "/embed_sparse"}, extract.Auxiliary},
		"vLLM pools":                       {&extract.Request{Path: "/pooling", Body: []byte(`{"input":"hi"}`)}, extract.Auxiliary},
		"vLLM classifies":                  {&extract.Request{Path: "/classify", Body: []byte(`{"input":"hi"}`)}, extract.Auxiliary},
		"vLLM scores":                      {&extract.Request{Path: "/v1/score"}, extract.Auxiliary},
		"DashScope embeds":                 {&extract.Request{Path: "/api/v1/services/embeddings/text-embedding/text-embedding", Body: []byte(`{"input":{"texts":["hi"]}}`)}, extract.Auxiliary},
		"DashScope ranks by itself":        {&extract.Request{Path: "/api/v1/services/rerank/text-rerank/text-rerank", Body: []byte(`{"input":{"query":"hi","documents":["x"]}}`)}, extract.Auxiliary},
		"DashScope draws":                  {&extract.Request{Path: "/api/v1/services/aigc/text2image/image-synthesis", Body: []byte(`{"input":{"prompt":"a cat"}}`)}, extract.Auxiliary},
		"DashScope listens":                {&extract.Request{Path: "/api/v1/services/audio/asr/transcription", Body: []byte(`{"input":{"file_urls":["https://x.org/a.mp3"]}}`)}, extract.Auxiliary},
		"DashScope talks":                  {&extract.Request{Path: "/api/v1/services/aigc/text-generation/generation", Body: []byte(`{"input":{"messages":[{"role":"user","content":"hi"}]}}`)}, extract.Turn},
		"Volcengine makes a video":         {&extract.Request{Path: "/api/v3/contents/generations/tasks"}, extract.Auxiliary},
		"xAI alters a video":               {&extract.Request{Path: "/v1/videos/edits"}, extract.Auxiliary},
		"xAI goes on with a video":         {&extract.Request{Path: "/v1/videos/extensions"}, extract.Auxiliary},
		"DashScope ranks":                  {&extract.Request{Path: "/compatible-api/v1/reranks"}, extract.Auxiliary},
		"which models there are":           {&extract.Request{Method: "GET", Path: "/v1/models"}, extract.Probe},
		"a model is asked":                 {&extract.Request{Method: "POST", Path: "/v1/models"}, extract.Turn},
		"an editor completes":              {&extract.Request{Path: "/v1/fim/completions"}, extract.Auxiliary},
		"an editor completes in llama.cpp": {&extract.Request{Path: "/infill"}, extract.Auxiliary},
		"a chat":                           {&extract.Request{Path: "/v1/chat/completions"}, extract.Turn},
		"vLLM turns tokens into text":      {&extract.Request{Path: "/detokenize"}, extract.Probe},
		"OpenAI counts tokens":             {&extract.Request{Path: "/v1/responses/input_tokens"}, extract.Probe},
		"an embedding":                     {&extract.Request{Path: "/v1/embeddings"}, extract.Auxiliary},
		"Vertex AI computes tokens":        {&extract.Request{Path: "/v1/projects/p/locations/l/publishers/google/models/m:computeTokens"}, extract.Probe},
		"vLLM tokenizes":                   {&extract.Request{Path: "/tokenize"}, extract.Probe},
		"Ollama embeds":                    {&extract.Request{Path: "/api/embed"}, extract.Auxiliary},
		"documents are ranked":             {&extract.Request{Path: "/v2/rerank"}, extract.Auxiliary},
		"an image":                         {&extract.Request{Path: "/v1/images/generations"}, extract.Auxiliary},
		"an image is changed":              {&extract.Request{Path: "/v1/images/edits"}, extract.Auxiliary},
		"a video":                          {&extract.Request{Method: "POST", Path: "/v1/videos"}, extract.Auxiliary},
		"a video of xAI":                   {&extract.Request{Path: "/v1/videos/generations"}, extract.Auxiliary},
		"a video of Gemini":                {&extract.Request{Path: "/v1beta/models/m:predictLongRunning"}, extract.Auxiliary},
		"an image is varied":               {&extract.Request{Path: "/v1/images/variations"}, extract.Auxiliary},
		"text to speech":                   {&extract.Request{Path: "/v1/audio/speech"}, extract.Auxiliary},
		"speech to text":                   {&extract.Request{Path: "/v1/audio/transcriptions"}, extract.Auxiliary},
		"speech to English":                {&extract.Request{Path: "/v1/audio/translations"}, extract.Auxiliary},
		"a conversation is listed":         {&extract.Request{Path: "/v1/conversations"}, extract.Turn},
		"OpenAI compacts":                  {&extract.Request{Path: "/v1/responses/compact"}, extract.Compaction},
		"Claude Code says main":            {header("X-Claude-Code-Request-Class", "main"), extract.Turn},
		"Claude Code says subagent":        {header("X-Claude-Code-Request-Class", "subagent"), extract.Subagent},
		"Claude Code says workflow":        {header("X-Claude-Code-Request-Class", "workflow"), extract.Subagent},
		"Claude Code says compaction":      {header("X-Claude-Code-Request-Class", "compaction"), extract.Compaction},
		"Claude Code says auxiliary":       {header("X-Claude-Code-Request-Class", "auxiliary"), extract.Auxiliary},
		"Claude Code says something new":   {header("X-Claude-Code-Request-Class", "dream"), extract.Turn},
		"Claude Code compacts":             {header("X-Claude-Code-Compaction", "auto"), extract.Compaction},
		"Claude Code's sub-agent":          {header("X-Claude-Code-Agent-Id", "a1e37403a36fc420c"), extract.Subagent},
		"Claude Code's sub-agent compacts": {header("X-Claude-Code-Compaction", "auto", "X-Parent-Session-Id", "ses_parent"), extract.Compaction},
		"DeepSeek Harness compacts":        {header("X-Deepseek-Harness-Compact", "1"), extract.Compaction},
		"an SDK compacts":                  {header("X-Stainless-Helper", "compaction"), extract.Compaction},
		"an SDK compacts for an agent":     {header("X-Stainless-Helper", "BetaToolRunner, compaction"), extract.Compaction},
		"an SDK runs tools":                {header("X-Stainless-Helper", "BetaToolRunner, mcp_tool"), extract.Turn},
		"Codex reviews":                    {header("X-Openai-Subagent", "review"), extract.Subagent},
		"Codex compacts":                   {header("X-Openai-Subagent", "compact"), extract.Compaction},
		"a sub-agent of a fork of Codex":   {header("X-Openai-Subagent", "explorer"), extract.Subagent},
		"OpenCode's sub-agent":             {header("X-Parent-Session-Id", "ses_parent"), extract.Subagent},
		"Codex remembers":                  {header("X-Openai-Subagent", "memory_consolidation"), extract.Auxiliary},
		"Codex prewarms":                   {header("X-Codex-Turn-Metadata", `{"turn_id":"x","request_kind":"prewarm"}`), extract.Probe},
		"Codex compacts, it says itself":   {header("X-Codex-Turn-Metadata", `{"request_kind":"compaction"}`), extract.Compaction},
		"Codex remembers, it says itself":  {header("X-Codex-Turn-Metadata", `{"request_kind":"memory"}`), extract.Auxiliary},
		"Codex takes a turn":               {header("X-Codex-Turn-Metadata", `{"request_kind":"turn"}`), extract.Turn},
		"Codex's metadata is there twice":  {&extract.Request{Header: http.Header{"X-Codex-Turn-Metadata": {`{"request_kind":"prewarm"}`, `{"request_kind":"compaction"}`}}}, extract.Turn},
		"Codex's sub-agent, by its body":   {body(`{"client_metadata":{"x-openai-subagent":"collab_spawn"},"input":"x"}`), extract.Subagent},
		"Codex compacts, by its body":      {body(`{"client_metadata":{"x-codex-turn-metadata":"{\"request_kind\":\"compaction\"}"},"input":"x"}`), extract.Compaction},
		"Codex takes a turn, by its body":  {body(`{"client_metadata":{"x-codex-turn-metadata":"{\"request_kind\":\"turn\"}"},"input":"x"}`), extract.Turn},
		"Codex's metadata is broken":       {header("X-Codex-Turn-Metadata", `{"request_kind":`), extract.Turn},
		"Codex's metadata is long":         {header("X-Codex-Turn-Metadata", longMetadata(16<<10-1)), extract.Probe},
		"Codex's metadata is too long":     {header("X-Codex-Turn-Metadata", longMetadata(16<<10)), extract.Turn},
		"Codex's own title":                {body(`{"client_metadata":{"session_id":"s"},"input":[{"role":"user","content":"Generate a concise title for this chat."}]}`), extract.Auxiliary},
		"Copilot's sub-agent":              {header("X-Interaction-Type", "conversation-subagent"), extract.Subagent},
		"Copilot's background":             {header("X-Interaction-Type", "conversation-background"), extract.Auxiliary},
		"Copilot compacts":                 {header("X-Interaction-Type", "conversation-compaction"), extract.Compaction},
		"Claude Code names a session":      {says("You are naming a coding session for somebody", "x"), extract.Auxiliary},
		"Claude Code looks for files":      {says("You are an expert at analyzing git history. Given a list of files and their counts", "x"), extract.Auxiliary},
		"a name is asked for with escapes": {body(`{"messages":[{"role":"system","content":"You are naming a coding s\u0065ssion"},{"role":"user","content":"Is \u0061 name short?"}]}`), extract.Auxiliary},
		"behind the billing header":        {body(`{"system":[{"type":"text","text":"x-anthropic-billing-header: v;"},{"type":"text","text":"You are Claude Code"},{"type":"text","text":"You are naming a coding session"}],"messages":[{"role":"user","content":"x"}]}`), extract.Auxiliary},
		"Crush titles":                     {says("You will generate a short title based on the first message a user begins a conversation with", "x"), extract.Auxiliary},
		"a title is asked for":             {says("", "Please write a 5-10 word title for the following conversation:"), extract.Auxiliary},
		"Open WebUI titles":                {says("", `### Task:\nGenerate a concise, 3-5 word title`), extract.Auxiliary},
		"Open WebUI's tags":                {says("", `### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history`), extract.Auxiliary},
		"Open WebUI's image":               {says("", `### Task:\nGenerate a detailed prompt for am image generation`), extract.Auxiliary},
		"Open WebUI's follow-ups":          {says("", `### Task:\nSuggest 3-5 relevant follow-up questions or prompts that the user might`), extract.Auxiliary},
		"Open WebUI's searches":            {says("", `### Task:\nAnalyze the chat history to determine the necessity of generating search queries`), extract.Auxiliary},
		"Open WebUI completes":             {says("", "### Task:\\nYou are an autocompletion system. Continue the text in `<text>`"), extract.Auxiliary},
		"somebody has a task":              {says("", `### Task:\nGenerate function 0 for oslo`), extract.Turn},
		"somebody has a concise task":      {says("", `### Task:\nGenerate a concise description of this grinder`), extract.Turn},
		"somebody has read a page":         {says("", `Web page content:\nBest pizza in town. When do they open?`), extract.Turn},
		"somebody wants a suggestion":      {says("", `### Task:\nSuggest a name`), extract.Turn},
		"Claude Code is asked beside":      {says("main", `<system-reminder>This is a side question from the user. You must answer this question directly in a single response.\n\nCRITICAL CONSTRAINTS:\n- You have NO tools available</system-reminder>\n\nWhat is a shard?`), extract.Auxiliary},
		"Claude Code was asked beside":     {body(`{"messages":[{"role":"user","content":"<system-reminder>This is a side question from the user. You must</system-reminder>\n\nWhat?"},{"role":"assistant","content":"That."},{"role":"user","content":"on"}]}`), extract.Turn},
		"Claude Code suggests":             {says("main", "[SUGGESTION MODE: what would"), extract.Auxiliary},
		"titles of a summary":              {says("You are a title generator. You output ONLY a thread title", "CRITICAL: Respond with TEXT ONLY."), extract.Auxiliary},
		"Claude Code summarises":           {says("main", "CRITICAL: Respond with TEXT ONLY. Do not"), extract.Compaction},
		"a person writes about titles":     {says("", "How would I write: Please write a 5-10 word title"), extract.Turn},
		"quota probe":                      {body(`{"max_tokens":1,"messages":[{"role":"user","content":"quota"}]}`), extract.Probe},
		"quota, but more than a token":     {body(`{"max_tokens":100,"messages":[{"role":"user","content":"quota"}]}`), extract.Turn},
		"one token of something else":      {body(`{"max_tokens":1,"messages":[{"role":"user","content":"yes or no?"}]}`), extract.Turn},
		"Ollama loads a model":             {&extract.Request{Path: "/api/generate", Body: []byte(`{"model":"m","prompt":"","keep_alive":-1}`)}, extract.Probe},
		"Ollama loads it for a chat":       {&extract.Request{Path: "/api/chat", Body: []byte(`{"model":"m","messages":[]}`)}, extract.Probe},
		"an editor completes in Ollama":    {&extract.Request{Path: "/api/generate", Body: []byte(`{"model":"m","prompt":"def f(","suffix":"return a"}`)}, extract.Auxiliary},
		"what is to come before a line":    {&extract.Request{Path: "/beta/completions", Body: []byte(`{"model":"m","prompt":"def f(","suffix":"\n"}`)}, extract.Turn},
		"a completion without a suffix":    {&extract.Request{Path: "/v1/completions", Body: []byte(`{"model":"m","prompt":"x","suffix":null}`)}, extract.Turn},
		"prompts with a suffix":            {&extract.Request{Path: "/v1/completions", Body: []byte(`{"model":"m","prompt":["x"],"suffix":"y"}`)}, extract.Turn},
		"a suffix without a prompt":        {&extract.Request{Path: "/v1/completions", Body: []byte(`{"model":"m","suffix":"y"}`)}, extract.Turn},
		"an empty suffix":                  {&extract.Request{Path: "/v1/completions", Body: []byte(`{"model":"m","prompt":"x","suffix":""}`)}, extract.Turn},
		"a chat with a suffix":             {&extract.Request{Path: "/v1/chat/completions", Body: []byte(`{"prompt":"x","suffix":"y","messages":[{"role":"user","content":"x"}]}`)}, extract.Turn},
		"a template with a suffix":         {&extract.Request{Path: "/v1/responses", Body: []byte(`{"prompt":{"id":"pmpt_1"},"suffix":"y","input":"x"}`)}, extract.Turn},
		"Ollama generates":                 {&extract.Request{Path: "/api/generate", Body: []byte(`{"model":"m","prompt":"x"}`)}, extract.Turn},
		"Ollama chats":                     {&extract.Request{Path: "/api/chat", Body: []byte(`{"model":"m","messages":[{"role":"user","content":"x"}]}`)}, extract.Turn},
		"Ollama unloads it":                {&extract.Request{Path: "/api/generate", Body: []byte(`{"model":"m","keep_alive":0}`)}, extract.Probe},
		"another chat's own words":         {&extract.Request{Path: "/api/chat", Body: []byte(`{"model":"m","message":"x","session_id":"s"}`)}, extract.Turn},
		"another chat's words, elsewhere":  {&extract.Request{Path: "/api/chat", Body: []byte(`{"model":"m","talk":"x"}`)}, extract.Turn},
		"another chat, without a model":    {&extract.Request{Path: "/api/chat", Body: []byte(`{"messages":[]}`)}, extract.Turn},
		"Ollama loads it with options":     {&extract.Request{Path: "/api/chat", Body: []byte(`{"model":"m","stream":false,"options":{}}`)}, extract.Probe},
		"another that loads a model":       {&extract.Request{Path: "/v1/load", Body: []byte(`{"model":"m"}`)}, extract.Turn},
		"Ollama goes on by itself":         {&extract.Request{Path: "/api/chat", Body: []byte(`{"model":"m","messages":[{"role":"system","content":"x"}]}`)}, extract.Turn},
		"another chat of tools' results":   {&extract.Request{Path: "/v1/chat/completions", Body: []byte(`{"messages":[{"role":"tool","content":"x"}]}`)}, extract.Turn},
		"a greeting for one token":         {body(`{"max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}`), extract.Probe},
		"one of Gemini's":                  {&extract.Request{Path: "/v1beta/models/g:generateContent", Body: []byte(`{"contents":[{"parts":[{"text":"ping"}]}],"generationConfig":{"temperature":0,"maxOutputTokens":1}}`)}, extract.Probe},
		"a greeting for an answer":         {body(`{"max_tokens":1000,"messages":[{"role":"user","content":"Hi"}]}`), extract.Turn},
		"the billing line of a sub-agent":  {body(`{"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.263; cc_is_subagent=true;"},{"type":"text","text":"You are Claude Code"}],"messages":[{"role":"user","content":"x"}]}`), extract.Subagent},
		"the same, of a proxy":             {body(`{"messages":[{"role":"system","content":"x-anthropic-billing-header: cc_is_subagent=true;\nYou are kind."},{"role":"user","content":"x"}]}`), extract.Subagent},
		"a sub-agent is compacted":         {body(`{"system":"x-anthropic-billing-header: cc_is_subagent=true;","messages":[{"role":"user","content":"CRITICAL: Respond with TEXT ONLY."}]}`), extract.Compaction},
		"a sub-agent is asked at length":   {body(`{"system":"You are a subagent.","messages":[{"role":"user","content":"Find it.\\n\\nIn all files."}]}`), extract.Subagent},
		"somebody asks about billing":      {says("Explain x-anthropic-billing-header: cc_is_subagent=true", "x"), extract.Turn},
		"OpenAI is to compact":             {body(`{"input":[{"type":"message","role":"user","content":"x"},{"type":"compaction_trigger"}]}`), extract.Compaction},
		"the same in another order":        {body(`{"input":[{"type":"additional_tools","role":"developer","tools":[{"type":"custom","name":"exec"}]},{"id":"1","content":"Generate a concise title for this chat.","role":"user"}]}`), extract.Turn},
		"a person of Codex wants a title":  {body(`{"input":[{"type":"additional_tools","role":"developer","tools":[{"type":"custom","name":"exec"}]},{"role":"user","content":"Generate a concise title for this chat."}]}`), extract.Turn},
		"a client wants a title":           {body(`{"input":[{"role":"user","content":"Generate a concise title for this chat."}]}`), extract.Auxiliary},
		"OpenAI has compacted":             {body(`{"input":[{"type":"message","role":"user","content":"x"},{"type":"compaction","encrypted_content":"e"},{"role":"user","content":"y"}]}`), extract.Turn},
		"warm-up":                          {body(`{"messages":[{"role":"user","content":"Warmup"}]}`), extract.Probe},
		"warm-up in mid-conversation":      {body(`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"Warmup"}]}`), extract.Turn},
		"broken body":                      {body(`{"max_tokens":1,"messages":[`), extract.Turn},
		"there is less than the beginning": {says("You are naming", "x"), extract.Turn},
	} {
		require.Equal(t, tt.want, tt.req.Class(), name)
	}
}

// longMetadata returns what Codex says of a request that warms up, in n bytes.
func longMetadata(n int) string {
	const before, after = `{"request_kind":"prewarm","x":"`, `"}`
	return before + strings.Repeat("x", n-len(before)-len(after)) + after
}

// What counts for nothing in a message, such as the page that browser-use shows, wants nothing either.
func TestTheRestOfAMessageWantsNothing(t *testing.T) {
	t.Parallel()
	const wish = "[SUGGESTION MODE: Suggest what the user might naturally type next]"
	require.Equal(t, extract.Auxiliary, classOf(chat(ub(text_("buy milk"), text_(wish)))))
	require.Equal(t, extract.Turn, classOf(chat(ub(text_(browserUse("buy milk", "page 1")), text_(wish)))))
}

// Some clients have the system ask for a summary, behind all that was said. What it says elsewhere is
// no wish of that kind.
func TestTheSystemWantsASideCall(t *testing.T) {
	t.Parallel()
	const wish = "Provide a concise and complete summarization of the entire dialog that does not exceed 5 sentences"
	long := sys("  \n" + wish + strings.Repeat(" é\n", 200))
	for name, tt := range map[string]struct {
		body string
		want extract.Class
	}{
		"behind an answer":                  {chat(sys("s"), u("x"), a("y"), sys(wish)), extract.Compaction},
		"in a long text":                    {chat(u("x"), a("y"), long), extract.Compaction},
		"before its role":                   {chat(u("x"), a("y"), `{"content":`+quote(wish)+`,"role":"system"}`), extract.Compaction},
		"to OpenAI's Responses":             {responses(u("x"), a("y"), `{"type":"message","role":"developer","content":`+quote(wish)+`}`), extract.Compaction},
		"and is answered":                   {chat(u("x"), a("y"), sys(wish), a("z"), u("and now?")), extract.Turn},
		"and something else is asked":       {chat(u("x"), a("y"), sys(wish), u("and now?")), extract.Turn},
		"beside a question":                 {chat(u("x"), a("y"), u("and now?"), sys(wish)), extract.Turn},
		"in front of all":                   {chat(sys(wish), u("x"), a("y"), u("and now?")), extract.Turn},
		"beside a first question":           {chat(u("x"), sys(wish)), extract.Turn},
		"with another text behind it":       {chat(u("x"), a("y"), sys(wish), sys("Be brief.")), extract.Turn},
		"and what it is about stands there": {chat(u("x"), a("y"), sys("Here is a text: "+wish)), extract.Turn},
	} {
		require.Equal(t, tt.want, classOf(tt.body), name)
		padding := `{"padding":"` + strings.Repeat("x", wholly) + `",`
		require.Equal(t, tt.want, classOf(padding+tt.body[1:]), name)
	}
	with, without := trailOf(t, chat(u("x"), a("y"), sys(wish))), trailOf(t, chat(u("x"), a("y")))
	require.Equal(t, without, with)
}

// Nobody who writes these words wants so few tokens.
func TestProbingWords(t *testing.T) {
	t.Parallel()
	for _, words := range []string{"quota", "Count", "test", "testing", "probe", "ping", ".", "hi", "hello", "hey", "Hey how's it going?", "What's 1 + 1?"} {
		body := string(says("", words).Body)
		class := func(limit string) extract.Class {
			return classOf(`{` + limit + `,` + body[1:])
		}
		require.Equal(t, extract.Turn, classOf(body), words)
		for _, limit := range []string{
			`"max_tokens":%`, `"max_completion_tokens":%`, `"max_output_tokens":%`,
			`"generationConfig":{"maxOutputTokens":%}`, `"generation_config":{"max_output_tokens":%}`,
			`"request":{"generationConfig":{"maxOutputTokens":%}}`, `"inferenceConfig":{"maxTokens":%}`, `"options":{"num_predict":%}`,
		} {
			for n, want := range map[string]extract.Class{"1": extract.Probe, "16": extract.Probe, "17": extract.Turn, "0": extract.Turn, "-1": extract.Turn, `"1"`: extract.Turn, "null": extract.Turn} {
				require.Equal(t, want, class(strings.ReplaceAll(limit, "%", n)), "%s %s %s", words, limit, n)
			}
			if !strings.Contains(limit, "request") { // which has a place of its own
				require.Equal(t, extract.Turn, class(strings.Replace(limit, "%", "1", 1)+strings.Repeat(`,"a":1`, 64)), "no probe has so many members, nor is each of the limits looked for in them: %s", limit)
			}
		}
	}
}

// says returns a request with texts that are JSON between quotes.
func says(system, person string) *extract.Request {
	return &extract.Request{Body: []byte(`{"system":"` + system + `","messages":[{"role":"user","content":"` + person + `"}]}`)}
}

func TestClassNames(t *testing.T) {
	t.Parallel()
	beside := map[extract.Class]bool{extract.Probe: true, extract.Auxiliary: true, extract.Compaction: true}
	for c := extract.Turn; c <= extract.Compaction; c++ {
		require.Regexp(t, "^[a-z]+$", c.String())
		require.Equal(t, beside[c], c.SideCall(), c)
	}
	require.Equal(t, "<unknown extract.Class>", extract.Class(99).String())
	name, err := extract.Compaction.MarshalText()
	require.Equal(t, "compaction", string(name))
	require.NoError(t, err)
	for c := extract.Explicit; c <= extract.Derived; c++ {
		require.Regexp(t, "^[a-z]+$", c.String())
	}
	require.Equal(t, "<unknown extract.Confidence>", extract.Confidence(99).String())
}

// A session comes with the class that the headers of its own client tell.
func TestSessionsCarryTheirClass(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		h    http.Header
		path string
		want extract.Class
	}{
		"Claude Code":         {http.Header{"X-Claude-Code-Session-Id": {"s"}, "X-Claude-Code-Request-Class": {"auxiliary"}}, "", extract.Auxiliary},
		"Codex":               {http.Header{"Session-Id": {"s"}, "X-Openai-Subagent": {"compact"}}, "", extract.Compaction},
		"Copilot CLI":         {http.Header{"X-Client-Session-Id": {"s"}, "X-Interaction-Type": {"conversation-background"}}, "", extract.Auxiliary},
		"Grok CLI":            {http.Header{"X-Grok-Session-Id": {"s"}, "X-Grok-Conv-Id": {"s"}, "X-Grok-Req-Id": {"r"}}, "", extract.Turn},
		"Grok CLI recaps":     {http.Header{"X-Grok-Session-Id": {"s"}, "X-Grok-Conv-Id": {"recap-1"}, "X-Grok-Req-Id": {"xai-recap-1"}}, "", extract.Auxiliary},
		"Grok CLI compacts":   {http.Header{"X-Grok-Session-Id": {"s"}, "X-Grok-Conv-Id": {"s"}, "X-Grok-Req-Id": {"xai-compact-1"}}, "", extract.Compaction},
		"Grok CLI judges":     {http.Header{"X-Grok-Session-Id": {"s"}, "X-Grok-Conv-Id": {"s"}, "X-Grok-Req-Id": {"xai-goal-eval-1"}}, "", extract.Auxiliary},
		"DeepSeek Harness":    {http.Header{"X-Deepseek-Harness-Session-Id": {"s"}, "X-Deepseek-Harness-Compact": {"1"}}, "", extract.Compaction},
		"Hermes":              {http.Header{"X-Grok-Conv-Id": {"s"}}, "", extract.Turn},
		"OpenCode":            {http.Header{"X-Session-Id": {"s"}, "X-Parent-Session-Id": {"p"}}, "", extract.Subagent},
		"OpenCode counts":     {http.Header{"X-Session-Id": {"s"}, "X-Parent-Session-Id": {"p"}}, "/v1/messages/count_tokens", extract.Probe},
		"by the path":         {http.Header{"X-Session-Id": {"s"}}, "/v1/messages/count_tokens", extract.Probe},
		"another's header":    {http.Header{"X-Session-Id": {"s"}, "X-Openai-Subagent": {"compact"}}, "", extract.Turn},
		"a turn like another": {http.Header{"X-Session-Id": {"s"}}, "/v1/messages", extract.Turn},
	} {
		s, ok := extract.Default().Extract(&extract.Request{Header: tt.h, Path: tt.path})
		require.True(t, ok, name)
		require.Equal(t, tt.want, s.Class, name)
	}
	// What is known by its body, or from elsewhere, comes with what any client says.
	chain := append(extract.Default(), extract.Body("ticket"), extract.Metadata("session"))
	for _, body := range []string{
		`,"conversation_id":"c"}`, `,"prompt_cache_key":"c"}`, `,"metadata":{"user_id":"u"}}`, `,"metadata":{"user_id":"{\"session_id\":\"s\"}"}}`,
		`,"previous_response_id":"resp_1"}`, `,"messages":[{"role":"user","content":"hi"}]}`, `,"ticket":"t"}`, `}`,
	} {
		for _, size := range []int{0, wholly} {
			for _, side := range []*extract.Request{
				{Path: "/v1/messages/count_tokens"},
				{Header: http.Header{"X-Interaction-Type": {"conversation-background"}}},
				{Header: http.Header{"x-interaction-type": {"conversation-background"}, "accept": {"*/*"}}},
			} {
				req := &extract.Request{Header: side.Header, Path: side.Path, Metadata: map[string]string{"session": "m"}}
				req.Body = []byte(`{"y":"` + strings.Repeat("y", size) + `"` + body)
				s, ok := chain.Extract(req)
				require.True(t, ok, req.Body)
				require.True(t, s.Class.SideCall(), "%s: %s", s.Source, body)
				require.Equal(t, req.Class(), s.Class, body)
			}
		}
	}
	// None of these headers is overlooked.
	for name, value := range map[string]string{
		"X-Claude-Code-Request-Class": "workflow", "X-Claude-Code-Compaction": "auto", "X-Claude-Code-Agent-Id": "a1",
		"X-Openai-Subagent": "review", "X-Codex-Turn-Metadata": `{"request_kind":"memory"}`, "X-Interaction-Type": "conversation-subagent",
		"X-Parent-Session-Id": "p", "X-Grok-Req-Id": "xai-compact-1", "X-Deepseek-Harness-Compact": "1", "X-Stainless-Helper": "compaction",
	} {
		req := &extract.Request{Header: http.Header{name: {value}, "Content-Type": {"application/json"}}, Body: []byte(`{"conversation_id":"c"}`)}
		s, ok := extract.Default().Extract(req)
		require.True(t, ok)
		require.NotEqual(t, extract.Turn, s.Class, name)
		require.Equal(t, (&extract.Request{Header: req.Header}).Class(), s.Class, name)
	}
}

// An extractor of somebody else need not know of classes.
func TestChainsFillInTheClass(t *testing.T) {
	t.Parallel()
	of := func(c extract.Class) extract.Extractor {
		return extract.ExtractorFunc(func(r *extract.Request) (extract.Session, bool) {
			return extract.Session{Source: "mine", ID: "s", Class: c}, true
		})
	}
	for name, tt := range map[string]struct {
		r    *extract.Request
		says extract.Class
		want extract.Class
	}{
		"a turn":                        {&extract.Request{Path: "/v1/messages"}, extract.Turn, extract.Turn},
		"a token count":                 {&extract.Request{Path: "/v1/messages/count_tokens"}, extract.Turn, extract.Probe},
		"a HEAD request":                {&extract.Request{Method: "HEAD"}, extract.Turn, extract.Probe},
		"a header":                      {&extract.Request{Header: http.Header{"X-Interaction-Type": {"conversation-background"}}}, extract.Turn, extract.Auxiliary},
		"a header in lower case":        {&extract.Request{Header: http.Header{"x-interaction-type": {"conversation-background"}}}, extract.Turn, extract.Auxiliary},
		"what it says itself":           {&extract.Request{Path: "/v1/messages/count_tokens"}, extract.Compaction, extract.Compaction},
		"what the body says, it is not": {&extract.Request{Body: says("", "[SUGGESTION MODE:").Body}, extract.Turn, extract.Turn},
	} {
		for _, chain := range []extract.Chain{{of(tt.says)}, {extract.Headers(), extract.Chain{of(tt.says)}}} {
			s, ok := chain.Extract(tt.r)
			require.True(t, ok)
			require.Equal(t, tt.want, s.Class, name)
		}
	}
	// A chain in a chain changes nothing.
	s, ok := extract.Chain{extract.Chain{extract.Headers()}}.Extract(&extract.Request{Header: header("X-Session-Id", "s", "X-Openai-Subagent", "compact")})
	require.True(t, ok)
	require.Equal(t, extract.Turn, s.Class)
}

// It costs no memory.
func TestChainsFillInTheClassForNothing(t *testing.T) {
	r := &extract.Request{Path: "/v1/messages", Header: header("Accept", "*/*", "X-Ours", "s")}
	chain := extract.Chain{extract.ExtractorFunc(func(r *extract.Request) (extract.Session, bool) {
		return extract.Session{Source: "mine", ID: r.Header.Get("X-Ours")}, true
	})}
	require.Zero(t, testing.AllocsPerRun(10, func() {
		var s extract.Session
		require.True(t, chain.Find(r, &s))
	}))
}
