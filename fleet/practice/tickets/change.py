"""Changes of routes as values: what a ticket proposes, before anybody looks how the file is written. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Do(StrEnum):
    """What is done to a route, or to the models of an API."""

    FIRST = "first"
    LAST = "last"
    REMOVE = "remove"
    UNGRAY = "ungray"
    DROP_ROUTE = "drop_route"
    ADD_MODEL = "add_model"
    DROP_MODEL = "drop_model"
    PRICE = "price"


class RouteChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change. `models` is a route's whole order afterwards. Prices are USD per million, as decimal text."""

    do: Do
    route: str = ""
    models: tuple[str, ...] = ()
    upstream: str = ""
    served: str = ""
    asked: str = ""
    prompt_per_million: str = ""
    completion_per_million: str = ""

    @property
    def sentence(self) -> str:
        """For people."""
        match self.do:
            case Do.FIRST:
                return f"In route {self.route}, ask {self.served} before other models of APIs."
            case Do.LAST:
                return f"In route {self.route}, ask {self.served} last."
            case Do.REMOVE:
                return f"Take {self.served} out of route {self.route}."
            case Do.UNGRAY:
                return f"Route {self.route} feeds no gray pool any more."
            case Do.DROP_ROUTE:
                return f"Take the route {self.route} away: it has no other model."
            case Do.ADD_MODEL:
                return f"Offer {self.asked} under the name {self.served}, so that it can be asked and measured."
            case Do.DROP_MODEL:
                return f"Take {self.served} out of the models of {self.upstream}."
            case Do.PRICE:
                return (
                    f"Write the new price of {self.served}: {self.prompt_per_million} in, "
                    f"{self.completion_per_million} out, USD per million tokens."
                )
