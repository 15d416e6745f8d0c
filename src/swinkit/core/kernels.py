"""The Triton kernels of `fused`: window attention, forward and backward.

A program takes a tile of queries of one window and head (in the backward pass: whole windows of one head),
finds where each token lies on the un-shifted grid by index arithmetic, reads q, k and v there from the
projection (B, *grid, 3C), takes the bias straight from the table, tells by region ids who is masked, and
writes to the un-shifted place. Padding is in no memory either: a token beyond the grid is zero before the
projection, and so the bias of `qkv` after it. Softmax goes over the keys once (Dao 2022, FlashAttention).

Letters: B batch, C channels, N tokens in a window, D head width. Every grid has three axes here, (T, H, W):
an image is a video of one frame. PLAN is what is known when a kernel is compiled: sides of the window, shift,
sides by which tokens count for the table, sides that the table was made for, whether anything is padded (2:
after the roll, else before it), the precision of products, tokens of a window, rows of the table.
"""

import triton
import triton.language as tl

from swinkit.core.windows import MASKED

MASK = tl.constexpr(MASKED)


@triton.jit
def _coordinates(token, SIDES: tl.constexpr):
    """Of a token in a box of these sides, row-major."""
    return token // (SIDES[1] * SIDES[2]), token // SIDES[2] % SIDES[1], token % SIDES[2]


@triton.jit
def _piece(place, SIDE: tl.constexpr, SHIFT: tl.constexpr, padded):
    """Which piece of a rolled axis a place comes from; all of one where it is not shifted."""
    piece = tl.zeros_like(place)
    if SHIFT > 0:
        piece += (place >= padded - SIDE).to(tl.int32) + (place >= padded - SHIFT).to(tl.int32)
    return piece


@triton.jit
def _locate(token, window, grid, padded, PLAN: tl.constexpr):
    """Of tokens of a window: flat place on the un-shifted grid, whether that is on it, and region."""
    SIDES: tl.constexpr = PLAN[0]
    SHIFT: tl.constexpr = PLAN[1]
    t, h, w = _coordinates(token, SIDES)
    down, across = padded[1] // SIDES[1], padded[2] // SIDES[2]
    t += window // (down * across) * SIDES[0]
    h += window // across % down * SIDES[1]
    w += window % across * SIDES[2]
    region = _piece(t, SIDES[0], SHIFT[0], padded[0]) * 9
    region += _piece(h, SIDES[1], SHIFT[1], padded[1]) * 3
    region += _piece(w, SIDES[2], SHIFT[2], padded[2])
    inside = (t < grid[0]) & (h < grid[1]) & (w < grid[2])
    if PLAN[4] == 2:
        t, h, w = (t + SHIFT[0]) % grid[0], (h + SHIFT[1]) % grid[1], (w + SHIFT[2]) % grid[2]
    else:
        t, h, w = t + SHIFT[0], h + SHIFT[1], w + SHIFT[2]
        t = tl.where(t >= padded[0], t - padded[0], t)
        h = tl.where(h >= padded[1], h - padded[1], h)
        w = tl.where(w >= padded[2], w - padded[2], w)
        inside = (t < grid[0]) & (h < grid[1]) & (w < grid[2])
    return (t * grid[1] + h) * grid[2] + w, inside & (token < PLAN[6]), region


@triton.jit
def _row(token, PLAN: tl.constexpr):
    """A token's part of the table's row: that of a pair is the query's less the key's, from the middle."""
    AXES: tl.constexpr = PLAN[2]
    TABLE: tl.constexpr = PLAN[3]
    t, h, w = _coordinates(token, AXES)
    return (t * (2 * TABLE[1] - 1) + h) * (2 * TABLE[2] - 1) + w


@triton.jit
def _read(source, place, channel, width, inside):
    """Rows (tokens, D) of a grid of `width` numbers a token; zero beyond it."""
    return tl.load(source + place[:, None] * width + channel[None, :], inside[:, None], 0.0)


@triton.jit
def _write(target, place, channel, width, inside, values):
    """Rows (tokens, D) to their places on a grid."""
    values = values.to(target.dtype.element_ty)
    tl.store(target + place[:, None] * width + channel[None, :], values, inside[:, None])


@triton.jit
def _keys(start, window, qkv, channel, width, pad, grid, padded, PLAN: tl.constexpr, TILE: tl.constexpr):
    """A tile of keys: k, v, number, region, place, whether that is on the grid."""
    token = start + tl.arange(0, TILE)
    place, inside, region = _locate(token, window, grid, padded, PLAN)
    k = _read(qkv, place, channel + width, 3 * width, inside)
    v = _read(qkv, place, channel + 2 * width, 3 * width, inside)
    if PLAN[4]:
        beyond = ((token < PLAN[6]) & ~inside)[:, None]
        k = tl.where(beyond, tl.load(pad + channel + width)[None, :].to(k.dtype), k)
        v = tl.where(beyond, tl.load(pad + channel + 2 * width)[None, :].to(v.dtype), v)
    return k, v, token, region, place, inside


@triton.jit
def _dot(a, b, PLAN: tl.constexpr):
    """Product, summed in fp32; in fp64 of such."""
    if a.dtype == tl.float64:
        return tl.dot(a, b, out_dtype=tl.float64)
    if PLAN[5] == "wide":  # the interpreter would multiply the bits of bf16
        return tl.dot(a.to(tl.float32), b.to(tl.float32), input_precision="ieee")
    return tl.dot(a, b, input_precision=PLAN[5])


@triton.jit
def _logits(q, k, query, key, region, beside, table, scale, PLAN: tl.constexpr):
    """(queries, keys) of tokens by their numbers and regions; -inf for keys beyond the window."""
    row = _row(query, PLAN)[:, None] - _row(key, PLAN)[None, :] + PLAN[7] // 2
    known = (query < PLAN[6])[:, None] & (key < PLAN[6])[None, :]
    logits = _dot(q, tl.trans(k), PLAN) * scale
    logits += tl.load(table + row, known, 0.0).to(logits.dtype)
    logits = tl.where(region[:, None] != beside[None, :], logits + MASK, logits)
    return tl.where((key < PLAN[6])[None, :], logits, float("-inf"))


@triton.jit
def forward(
    qkv, pad, table, out, norms, grid, padded, heads, scale,
    PLAN: tl.constexpr, D: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Attention of a tile of queries; `norms` are the logarithms of the sums of softmax, for the backward."""
    tiles: tl.constexpr = (PLAN[6] + TILE - 1) // TILE
    head, number = tl.program_id(0) % heads, tl.program_id(0) // heads
    window, image = number // tiles, tl.program_id(1).to(tl.int64)
    tokens, width = grid[0] * grid[1] * grid[2], heads * D
    channel = head * D + tl.arange(0, D)
    qkv += image * tokens * 3 * width
    table += head * PLAN[7]

    query = number % tiles * TILE + tl.arange(0, TILE)
    place, inside, region = _locate(query, window, grid, padded, PLAN)
    q = _read(qkv, place, channel, 3 * width, inside)
    kind = _dot(q, tl.trans(q), PLAN).dtype
    largest = tl.full((TILE,), float("-inf"), kind)
    total = tl.zeros((TILE,), kind)
    summed = tl.zeros((TILE, D), kind)
    for start in range(0, PLAN[6], TILE):
        k, v, key, beside, _, _ = _keys(start, window, qkv, channel, width, pad, grid, padded, PLAN, TILE)
        logits = _logits(q, k, query, key, region, beside, table, scale, PLAN)
        risen = tl.maximum(largest, tl.max(logits, 1))
        shrunk, chances = tl.exp(largest - risen), tl.exp(logits - risen[:, None])
        total = total * shrunk + tl.sum(chances, 1)
        summed = summed * shrunk[:, None] + _dot(chances.to(v.dtype), v, PLAN)
        largest = risen
    _write(out + image * tokens * width, place, channel, width, inside, summed / total[:, None])
    norms += (image * tokens) * heads + head
    tl.store(norms + place * heads, largest + tl.log(total), inside)


@triton.jit
def _queries(
    start, window, qkv, upstream, out, norms, channel, width, heads, grid, padded,
    PLAN: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """A tile of queries as the backward pass needs them: q, gradient of the answer, norm, and the rest."""
    token = start + tl.arange(0, TILE)
    place, inside, region = _locate(token, window, grid, padded, PLAN)
    q = _read(qkv, place, channel, 3 * width, inside)
    slope = _read(upstream, place, channel, width, inside)
    answer = _read(out, place, channel, width, inside)
    norm = tl.load(norms + place * heads, inside, float("inf"))  # beyond the grid no chances at all
    share = tl.sum(slope.to(norm.dtype) * answer.to(norm.dtype), 1)
    return q, slope, norm, share, token, region, place, inside


@triton.jit
def _slopes(queries, keys, table, scale, PLAN: tl.constexpr):
    """Of a tile: chances (queries, keys), and the gradient of the logits."""
    q, slope, norm, share, query, region, _, _ = queries
    k, v, key, beside, _, _ = keys
    logits = _logits(q, k, query, key, region, beside, table, scale, PLAN)
    chances = tl.exp(logits - norm[:, None])
    return chances, chances * (_dot(slope, tl.trans(v), PLAN) - share[:, None])


@triton.jit
def backward(
    qkv, pad, table, out, norms, upstream, qkv_grad, pad_grad, bias_grad,
    grid, padded, windows, images, heads, scale,
    PLAN: tl.constexpr, D: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Gradients of some windows of a head; those of padding and of the bias (heads, N, N) are added up."""
    N: tl.constexpr = PLAN[6]
    head = tl.program_id(1)
    tokens, width = grid[0] * grid[1] * grid[2], heads * D
    channel = head * D + tl.arange(0, D)
    table += head * PLAN[7]
    bias_grad += head * N * N
    one = tl.arange(0, TILE)
    gathered = tl.zeros((TILE, TILE), norms.dtype.element_ty)
    k_beyond = tl.zeros((D,), norms.dtype.element_ty)
    v_beyond = tl.zeros((D,), norms.dtype.element_ty)
    for number in range(tl.program_id(0), windows * images, tl.num_programs(0)):
        window, image = number % windows, (number // windows).to(tl.int64)
        own = qkv + image * tokens * 3 * width
        own_grad = qkv_grad + image * tokens * 3 * width
        seen = upstream + image * tokens * width
        said = out + image * tokens * width
        sums = norms + image * tokens * heads + head
        for start in range(0, N, TILE):
            keys = _keys(start, window, own, channel, width, pad, grid, padded, PLAN, TILE)
            k, _, key, _, place, inside = keys
            k_grad = tl.zeros((TILE, D), norms.dtype.element_ty)
            v_grad = tl.zeros((TILE, D), norms.dtype.element_ty)
            for other in range(0, N, TILE):
                queries = _queries(
                    other, window, own, seen, said, sums, channel, width, heads, grid, padded, PLAN, TILE
                )
                q, slope, _, _, query, _, asked, asks = queries
                chances, slopes = _slopes(queries, keys, table, scale, PLAN)
                v_grad += _dot(tl.trans(chances.to(slope.dtype)), slope, PLAN)
                k_grad += _dot(tl.trans(slopes.to(q.dtype)), q, PLAN)
                if N <= TILE:
                    gathered += slopes
                    q_grad = _dot(slopes.to(k.dtype), k, PLAN) * scale
                    _write(own_grad, asked, channel, 3 * width, asks, q_grad)
                else:
                    known = (query < N)[:, None] & (key < N)[None, :]
                    tl.atomic_add(bias_grad + query[:, None] * N + key[None, :], slopes, known)
            k_grad *= scale
            _write(own_grad, place, channel + width, 3 * width, inside, k_grad)
            _write(own_grad, place, channel + 2 * width, 3 * width, inside, v_grad)
            if PLAN[4]:
                beyond = ((key < N) & ~inside)[:, None]
                k_beyond += tl.sum(tl.where(beyond, k_grad, 0.0), 0)
                v_beyond += tl.sum(tl.where(beyond, v_grad, 0.0), 0)
        if N > TILE:
            for other in range(0, N, TILE):
                queries = _queries(
                    other, window, own, seen, said, sums, channel, width, heads, grid, padded, PLAN, TILE
                )
                q_grad = tl.zeros((TILE, D), norms.dtype.element_ty)
                for start in range(0, N, TILE):
                    keys = _keys(start, window, own, channel, width, pad, grid, padded, PLAN, TILE)
                    _, slopes = _slopes(queries, keys, table, scale, PLAN)
                    q_grad += _dot(slopes.to(keys[0].dtype), keys[0], PLAN)
                _write(own_grad, queries[6], channel, 3 * width, queries[7], q_grad * scale)
    if N <= TILE:
        known = (one < N)[:, None] & (one < N)[None, :]
        tl.atomic_add(bias_grad + one[:, None] * N + one[None, :], gathered, known)
    if PLAN[4]:
        tl.atomic_add(pad_grad + channel + width, k_beyond)
        tl.atomic_add(pad_grad + channel + 2 * width, v_beyond)
