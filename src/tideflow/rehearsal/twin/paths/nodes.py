"""Single nodes of pools: deleted or replaced."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flask import request

from tideflow.rehearsal.twin import queries, reading
from tideflow.rehearsal.twin.answering import body, cluster_of, node_of, pool_of
from tideflow.rehearsal.twin.paths import pools
from tideflow.rehearsal.twin.reading import InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Flask

    from tideflow.rehearsal.twin.state import State


def add(app: Flask, state: State) -> None:
    """Answer for the nodes of all pools of the state."""

    @app.delete(f"{pools.ONE}/nodes/<node_id>")
    def deleted_node(cluster_id: str, pool_id: str, node_id: str) -> tuple[str, int]:
        how = reading.read(queries.NodeDeletion, request.args.to_dict())
        return let_go(cluster_id, pool_id, [node_id], drain=not how.skip_drain, replace=bool(how.replace))

    @app.post(f"{pools.ONE}/recycle")
    def recycled(cluster_id: str, pool_id: str) -> tuple[str, int]:
        nodes = reading.read(reading.Recycling, body()).nodes
        return let_go(cluster_id, pool_id, nodes, drain=True, replace=True)

    def let_go(
        cluster_id: str, pool_id: str, node_ids: Sequence[str], *, drain: bool, replace: bool
    ) -> tuple[str, int]:
        with state.lock:
            pool = pool_of(cluster_of(state, cluster_id), pool_id)
            going = [node for node in map(partial(node_of, pool), node_ids) if not node.leaves]
            if not replace and len(going) >= pool.count:
                raise InvalidError("a node pool keeps at least one node")
            if not replace and pool.auto_scale and pool.count - len(going) < pool.min_nodes:
                raise InvalidError(f"a node pool that is scaled keeps its min_nodes, {pool.min_nodes}")
            for node in going:
                pool.delete(node, drain=drain, replace=replace)
            state.save()
        return "", 202
